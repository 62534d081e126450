package training

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"

	"firebench/net/files"
)

// A Row of a [Log] says what happened since the row before.
type Row struct {
	Step         int     // how many steps have been made
	Epoch        float64 // how often all pictures have been seen
	Rate         float64 // of learning, in the last step
	Loss         float64 // mean of the pictures
	Accuracy     float64 // share of the pictures that were recognized
	ValLoss      float64 // of the pictures that are not trained on; NaN if they were not tried
	ValAccuracy  float64
	ImagesSecond float64 // images per second
}

var logColumns = []string{"step", "epoch", "rate", "loss", "accuracy", "val_loss", "val_accuracy", "images_per_second"}

// numbers returns what the row has, in the order of logColumns.
func (r *Row) numbers() []*float64 {
	return []*float64{&r.Epoch, &r.Rate, &r.Loss, &r.Accuracy, &r.ValLoss, &r.ValAccuracy, &r.ImagesSecond}
}

// A Log is a file in CSV with a line for each [Row], under a line with the names of the columns. Each row is in the file
// when Add returns. A number that is not known is empty.
type Log struct {
	path string
	file *os.File
}

// OpenLog opens the log of a run that has made step steps: it makes the file, or goes on with one that is there. Rows of
// later steps, which the run is to make again, are removed.
func OpenLog(path string, step int) (*Log, error) {
	rows, err := ReadLog(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r Row) bool { return r.Step > step })
	f, err := files.Create(path)
	if err != nil {
		return nil, err
	}
	defer f.Discard()
	w := bufio.NewWriter(f)
	c := csv.NewWriter(w)
	c.Write(logColumns)
	for _, r := range rows {
		c.Write(r.fields())
	}
	c.Flush()
	if err := errors.Join(c.Error(), w.Flush()); err != nil {
		return nil, err
	}
	if err := f.Commit(); err != nil {
		return nil, err
	}
	l := &Log{path: path}
	if l.file, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, files.Error(path, err)
	}
	return l, nil
}

// fields returns the row as text.
func (r Row) fields() []string {
	fields := []string{strconv.Itoa(r.Step)}
	for _, x := range r.numbers() {
		text := ""
		if !math.IsNaN(*x) {
			text = strconv.FormatFloat(*x, 'g', 6, 64)
		}
		fields = append(fields, text)
	}
	return fields
}

// Add adds a row.
func (l *Log) Add(r Row) error {
	w := csv.NewWriter(l.file)
	w.Write(r.fields())
	w.Flush()
	if err := w.Error(); err != nil {
		return files.Error(l.path, err)
	}
	return nil
}

// Close closes the file.
func (l *Log) Close() error {
	if err := l.file.Close(); err != nil {
		return files.Error(l.path, err)
	}
	return nil
}

// maxLog bounds the logs that are read.
const maxLog = 64 << 20

// ReadLog returns the rows of a log. A last row without its end, which a run that was killed may have left, is not one.
// Errors name the file and the line.
func ReadLog(path string) ([]Row, error) {
	data, err := files.Read(path, maxLog)
	if err != nil {
		return nil, err
	}
	for len(data) > 0 && data[len(data)-1] != '\n' {
		data = data[:len(data)-1]
	}
	rows, err := parseLog(data)
	if err != nil {
		return nil, files.Error(path, err)
	}
	return rows, nil
}

func parseLog(data []byte) ([]Row, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = len(logColumns)
	header, err := r.Read()
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !slices.Equal(header, logColumns) {
		return nil, fmt.Errorf("line 1: columns %q, expected %q", header, logColumns)
	}
	var rows []Row
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		var row Row
		fail := func(i int) error {
			line, _ := r.FieldPos(i)
			return fmt.Errorf("line %d: %s is %q, expected a number", line, logColumns[i], fields[i])
		}
		if row.Step, err = strconv.Atoi(fields[0]); err != nil {
			return nil, fail(0)
		}
		for i, x := range row.numbers() {
			*x = math.NaN()
			if text := fields[i+1]; text != "" {
				if *x, err = strconv.ParseFloat(text, 64); err != nil {
					return nil, fail(i + 1)
				}
			}
		}
		rows = append(rows, row)
	}
}
