package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/preprocess"
	"firebench/net/tensor"
)

func TestJSON(t *testing.T) {
	dir := t.TempDir()
	classes := preprocess.Classes()
	inputs := []string{
		write(t, dir, "a&b.png", encoded(t, png.Encode, picture(60, 40))),
		write(t, dir, "tensor.NPY", encodedTensor(t, tensor.New(1, 3, 227, 227))),
		write(t, dir, "c.png", encoded(t, png.Encode, picture(40, 60))),
	}
	status, stdout, stderr := command(append([]string{"-json", "-top", "1000", "-threads", "1"}, inputs...)...)
	if status != 0 {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	checkLine(t, stderr, "random")
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if len(lines) != len(inputs) {
		t.Fatalf("%d lines for %d inputs", len(lines), len(inputs))
	}
	for i, line := range lines {
		if want := `{"file":"` + inputs[i] + `","top":[{"class":`; !strings.HasPrefix(line, want) {
			t.Errorf("line starts with %.100q, expected %q", line, want)
		}
		var r result
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if len(r.Top) != 1000 || r.MS <= 0 {
			t.Errorf("%d classes after %v ms", len(r.Top), r.MS)
		}
		preprocessor := "caffe-bgr-227"
		if i == 1 { // the tensor
			preprocessor = ""
		}
		isa, err := kernels.Best()
		if err != nil {
			t.Fatal(err)
		}
		if r.Model != "squeezenet1.0" || r.Type != "f32" || r.Preprocessor != preprocessor || r.ISA != isa.String() || r.Algorithm != "auto" || r.Threads != 1 {
			t.Errorf("%s: model, type, preprocessor, instruction set, algorithm, threads are %q %q %q %q %q %d", inputs[i], r.Model, r.Type, r.Preprocessor, r.ISA, r.Algorithm, r.Threads)
		}
		sum, seen := 0.0, map[int]bool{}
		for j, g := range r.Top {
			seen[g.Class] = true
			sum += float64(g.Prob)
			if j > 0 && g.Prob > r.Top[j-1].Prob {
				t.Errorf("place %d has a higher probability than the one before", j)
			}
			if c := classes[g.Class]; g.WNID != c.WNID || g.Label != c.Label {
				t.Errorf("class %d is called %s %s, expected %v", g.Class, g.WNID, g.Label, c)
			}
		}
		if len(seen) != 1000 || math.Abs(sum-1) > 1e-4 {
			t.Errorf("%d different classes, sum of the probabilities %v", len(seen), sum)
		}
	}
}

// TestLogitsKept checks that an output file stays as it is when there is nothing
// to write, and that nothing else is left in its folder.
func TestLogitsKept(t *testing.T) {
	dir := t.TempDir()
	out := write(t, dir, "out.npy", []byte("old"))
	bad := write(t, dir, "bad.jpg", []byte("text"))
	for _, args := range [][]string{
		{"-logits", out, bad},
		{"-logits", out, "-weights", bad, bad},
	} {
		if status, _, stderr := command(args...); status != 1 {
			t.Errorf("status %d, standard error %q", status, stderr)
		}
		if got, err := os.ReadFile(out); err != nil || string(got) != "old" {
			t.Errorf("the output file is now %q, %v", got, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 2 {
			t.Errorf("the folder has %d files, expected 2", len(entries))
		}
	}
}

func TestUnwritableOutput(t *testing.T) {
	dir := t.TempDir()
	photo := write(t, dir, "photo.jpg", encoded(t, encodeJPEG, picture(60, 40)))
	folder := filepath.Join(dir, "folder.npy")
	if err := os.Mkdir(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{
		filepath.Join(dir, "none", "out.npy"),
		filepath.Join(photo, "out.npy"),
		folder,
	} {
		status, stdout, stderr := command("-logits", out, photo)
		if status != 1 || stdout != "" {
			t.Errorf("%s: status %d, output %q, expected status 1 before any result", out, status, stdout)
		}
		checkLine(t, stderr, "classify: "+out+": ")
	}
	var stderr bytes.Buffer
	if status := run(t.Context(), []string{photo}, nil, failingWriter{}, &stderr); status != 1 || !strings.Contains(stderr.String(), "standard output: disk full\n") {
		t.Errorf("full standard output: status %d, standard error %q", status, stderr.String())
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }
