package training

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLog: rows are in the file at once; a run that goes on from a checkpoint removes those of steps that it makes again,
// and a row that a kill cut off.
func TestLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.csv")
	l, err := OpenLog(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := []Row{
		{10, 0.5, 0.04, 1.5, 0.25, math.NaN(), math.NaN(), 20},
		{20, 1, 0.02, 1.25, 0.5, 1.125, 0.625, 21},
		{30, 1.5, 0.01, 1, 0.75, math.NaN(), math.NaN(), 22},
	}
	for i, r := range rows {
		if err := l.Add(r); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadLog(path); err != nil || fmt.Sprint(got) != fmt.Sprint(rows[:i+1]) {
			t.Errorf("%v, %v, want %v", got, err, rows[:i+1])
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("40,2,0.0")
	f.Close()
	if l, err = OpenLog(path, 20); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	again := Row{25, 1.25, 0.015, 1.1, 0.7, math.NaN(), math.NaN(), 23}
	if err := l.Add(again); err != nil {
		t.Fatal(err)
	}
	want := "step,epoch,rate,loss,accuracy,val_loss,val_accuracy,images_per_second\n" +
		"10,0.5,0.04,1.5,0.25,,,20\n20,1,0.02,1.25,0.5,1.125,0.625,21\n25,1.25,0.015,1.1,0.7,,,23\n"
	if got, _ := os.ReadFile(path); string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestLogErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.csv")
	head := strings.Join(logColumns, ",") + "\n"
	for content, want := range map[string]string{
		"a,b\n":                              ": record on line 1: wrong number of fields",
		strings.ToUpper(head):                `: line 1: columns ["STEP" "EPOCH" "RATE" "LOSS" "ACCURACY" "VAL_LOSS" "VAL_ACCURACY" "IMAGES_PER_SECOND"], expected ["step" "epoch" "rate" "loss" "accuracy" "val_loss" "val_accuracy" "images_per_second"]`,
		head + "1,2,3,4,5,6,7,8\nx,,,,,,,\n": `: line 3: step is "x", expected a number`,
		head + "1,2,3,4,5,6,7,fast\n":        `: line 2: images_per_second is "fast", expected a number`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLog(path, 0); err == nil || err.Error() != path+want {
			t.Errorf("%v, want %s", err, path+want)
		}
		if got, _ := os.ReadFile(path); string(got) != content {
			t.Error("the file has changed")
		}
	}
}
