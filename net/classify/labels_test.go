package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"firebench/kernels/kerneltest"
)

func TestLabels(t *testing.T) {
	if n := len(classes()); n != 1000 {
		t.Fatalf("%d classes, want 1000", n)
	}
	wnid := regexp.MustCompile(`^n\d{8}$`)
	label := regexp.MustCompile(`^\S(.*\S)?$`)
	for i, c := range classes() {
		if !wnid.MatchString(c.wnid) || !label.MatchString(c.label) {
			t.Errorf("class %d is %q %q", i, c.wnid, c.label)
		}
		// The competition numbered the synsets in the order of their identifiers.
		if i > 0 && c.wnid <= classes()[i-1].wnid {
			t.Errorf("class %d, %s, follows %s", i, c.wnid, classes()[i-1].wnid)
		}
	}
}

func TestLabelsShared(t *testing.T) {
	list, err := os.ReadFile(kerneltest.Shared(t, "images/classes.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(list)), "\n")
	if len(want) != len(classes()) {
		t.Fatalf("%d classes, want %d", len(classes()), len(want))
	}
	for i, c := range classes() {
		if got := c.wnid + " " + c.label; got != want[i] {
			t.Errorf("class %d is %q, want %q", i, got, want[i])
		}
	}
}

// TestLabelNumbers: the numbers in the table are there for readers; they must be
// the line's.
func TestLabelNumbers(t *testing.T) {
	i := 0
	for line := range strings.Lines(labelTable) {
		if number, _, _ := strings.Cut(line, "\t"); number != strconv.Itoa(i) {
			t.Errorf("line %d has number %s", i, number)
		}
		i++
	}
}
