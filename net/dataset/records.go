package dataset

import (
	"bufio"
	"cmp"
	"fmt"
	"image"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"firebench/net/files"
)

// The binary version of CIFAR-10, https://www.cs.toronto.edu/~kriz/cifar.html: a file is records of a label, one byte, and a
// picture of 32×32 pixels, all red values, then all green and all blue ones.
const (
	recordSide = 32
	recordSize = 1 + 3*recordSide*recordSide

	testRecords = "test_batch.bin"

	recordNames    = "batches.meta.txt" // a class's name in each line, in the order of the labels
	maxRecordNames = 64 << 10
	maxRecords     = 4 << 30
)

// cifar10 are the classes of CIFAR-10.
var cifar10 = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

// batchOf returns which of the files of records for training has a name, the first being 1, and 0 for all other
// names.
func batchOf(name string) int {
	number, ok := strings.CutPrefix(path.Base(name), "data_batch_")
	number, bin := strings.CutSuffix(number, ".bin")
	n, err := strconv.Atoi(number)
	if !ok || !bin || err != nil || n < 1 || strconv.Itoa(n) != number {
		return 0
	}
	return n
}

// isRecords reports whether a file has records, by its name.
func isRecords(name string) bool { return batchOf(name) > 0 || path.Base(name) == testRecords }

// recordFiles are the files of records that have been found.
type recordFiles struct {
	batches []batch
	test    *batch
	names   []string // of the classes, nil if no file has them
}

// A batch is the pictures of a file of records.
type batch struct {
	path     string
	number   int
	pictures []*picture
}

// recordFile adds a file of records, which r reads. Their pictures are read again at offset of file, or kept in memory if that
// is nil.
func (f *finding) recordFile(name string, r io.Reader, size int64, file *os.File, offset int64) error {
	d := f.dataset
	if size == 0 || size%recordSize != 0 {
		return fmt.Errorf("%s: %d bytes, expected records of %d", d.in(name), size, recordSize)
	}
	if size > maxRecords {
		return fmt.Errorf("%s: %d bytes, expected at most %d", d.in(name), size, int64(maxRecords))
	}
	b := batch{path: name, number: batchOf(name)}
	in := bufio.NewReaderSize(r, 256<<10)
	record := make([]byte, recordSize)
	for at := int64(0); at < size; at += recordSize {
		if err := d.reserveIndex(""); err != nil {
			return err
		}
		if _, err := io.ReadFull(in, record); err != nil {
			return files.Error(d.in(name), fmt.Errorf("record %d: %w", at/recordSize+1, unexpectedEOF(err)))
		}
		p := &picture{path: name, record: int32(at/recordSize) + 1, label: int32(record[0])}
		if file != nil {
			p.content = content{file: file, offset: offset + at, size: recordSize}
		} else {
			if err := d.reserveContent(recordSize); err != nil {
				return err
			}
			p.content = content{data: slices.Clone(record)}
		}
		b.pictures = append(b.pictures, p)
	}
	if b.number == 0 {
		if f.records.test != nil {
			return fmt.Errorf("%s: a second file of that name, beside %s", d.in(name), d.in(f.records.test.path))
		}
		f.records.test = &b
		return nil
	}
	f.records.batches = append(f.records.batches, b)
	return nil
}

// recordNames reads the names of the classes.
func (f *finding) recordNames(name string, r io.Reader) error {
	text, err := files.ReadAll(f.dataset.in(name), r, maxRecordNames)
	if err != nil {
		return err
	}
	f.records.names = nil
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			f.records.names = append(f.records.names, line)
		}
	}
	return nil
}

func (f *finding) hasRecords() bool { return len(f.records.batches) > 0 || f.records.test != nil }

// arrangeRecords sets the classes and splits of files of records.
func (f *finding) arrangeRecords() error {
	d, r := f.dataset, &f.records
	if len(r.batches) == 0 {
		return fmt.Errorf("%s: %s without data_batch_1.bin, expected pictures to learn from", d.path, testRecords)
	}
	d.Classes = cifar10
	if r.names != nil {
		d.Classes = r.names
	}
	slices.SortStableFunc(r.batches, func(a, b batch) int { return cmp.Compare(a.number, b.number) })
	var train, val []*picture
	for i, b := range r.batches {
		if i > 0 && b.number == r.batches[i-1].number {
			return fmt.Errorf("%s: a second file of that name, beside %s", d.in(b.path), d.in(r.batches[i-1].path))
		}
		train = append(train, b.pictures...)
	}
	if r.test != nil {
		val = r.test.pictures
	}
	for _, pictures := range [][]*picture{train, val} {
		for _, p := range pictures {
			if int(p.label) >= len(d.Classes) {
				return fmt.Errorf("%s: label %d, expected 0 to %d", d.name(p), p.label, len(d.Classes)-1)
			}
		}
	}
	d.setSplits(train, val)
	return d.checkTrain()
}

// decodeRecord returns the picture of a record.
func decodeRecord(record []byte) *image.RGBA {
	const pixels = recordSide * recordSide
	img := image.NewRGBA(image.Rect(0, 0, recordSide, recordSide))
	red, green, blue := record[1:][:pixels], record[1+pixels:][:pixels], record[1+2*pixels:][:pixels]
	for i := range pixels {
		copy(img.Pix[4*i:], []byte{red[i], green[i], blue[i], 255})
	}
	return img
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
