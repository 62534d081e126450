package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/net/training"
)

// pictures makes a data set of three classes, with six pictures each to learn from and two for validation.
func pictures(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for class, name := range []string{"dark", "grey", "light"} {
		for i := range 8 {
			img := image.NewGray(image.Rect(0, 0, 32, 32))
			for p := range img.Pix {
				img.Pix[p] = uint8(80*class + (p*7+i*13)%50)
			}
			img.SetGray(i, i, color.Gray{255})
			split := "train"
			if i >= 6 {
				split = "val"
			}
			path := filepath.Join(dir, split, name, fmt.Sprintf("%d.png", i))
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func runCommand(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, nil, &out, &err)
	return status, out.String(), err.String()
}

func checkLine(t *testing.T, stderr, part string) {
	t.Helper()
	if !strings.HasPrefix(stderr, "experiments: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, part) {
		t.Errorf("standard error is %q, expected one line of experiments with %q", stderr, part)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "no -data"},
		{"-data d", "no -o"},
		{"-data d -o o more", "more: expected flags only"},
		{"-data d -o o -only depth", `unknown experiment "depth", expected some of ratio, share, pools, bypass`},
		{"-data d -o o -classes 1", "-classes 1: expected 0 or at least 2"},
		{"-data d -o o -pictures -1", "-pictures -1"},
		{"-data d -o o -validate -1", "-validate -1"},
		{"-data d -o o -rounds 0", "-rounds 0"},
		{"-data d -o o -threads -1", "-threads -1"},
		{"-data d -o o -memory 0", "-memory 0"},
		{"-data d -o o -epochs 0", "0 epochs"},
		{"-data d -o o -page p.html", "-page p.html: expected a name that ends in .md"},
	} {
		status, stdout, stderr := runCommand(t, strings.Fields(test.args)...)
		if status != 2 || stdout != "" {
			t.Errorf("experiments %s: status %d, output %q, expected status 2 and none", test.args, status, stdout)
		}
		checkLine(t, stderr, test.want)
	}
	if status, stdout, stderr := runCommand(t, "-help"); status != 0 || stderr != "" || !strings.Contains(stdout, "-only NAMES") {
		t.Errorf("-help: status %d, output %q, standard error %q", status, stdout, stderr)
	}
}

// TestChoices: every choice is a network, and each experiment has the one that all begin from.
func TestChoices(t *testing.T) {
	for _, e := range experiments {
		base := 0
		for _, choice := range e.choices {
			m, err := modelOf(choice.micro, []string{"a", "b"})
			if err != nil {
				t.Fatalf("%s, %s: %v", e.name, choice.label, err)
			}
			if m.Name == "squeezenet-cifar" {
				base++
			}
		}
		if base != 1 {
			t.Errorf("%s: %d choices are squeezenet-cifar, expected one", e.name, base)
		}
	}
}

// TestRun makes one experiment, stops it, and goes on.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("three networks of some tens of millions of multiply-adds")
	}
	dir := t.TempDir()
	page := filepath.Join(dir, "page.md")
	args := []string{"-data", pictures(t), "-o", filepath.Join(dir, "runs"), "-only", "pools", "-epochs", "1", "-batch", "4", "-classes", "2", "-pictures", "4", "-validate", "1", "-rounds", "6", "-page", page}

	status, _, stderr := runCommand(t, append(args, "-ended")...)
	if status != 1 {
		t.Errorf("-ended without runs: status %d", status)
	}
	checkLine(t, stderr, "no run has ended")

	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	if status := run(ctx, args, nil, cancelling{io.Discard, cancel}, &out); status != 1 {
		t.Errorf("interrupted: status %d, expected 1", status)
	}
	checkLine(t, out.String(), "interrupted; the experiments go on with the same command")
	if _, err := os.Stat(page); err == nil {
		t.Error("an interrupted command has written a page")
	}

	status, stdout, stderr := runCommand(t, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	for _, part := range []string{"1 of 3, squeezenet-cifar-pools1,3: ", "\nPools\n", "late, after layers 5 and 7", "723,522  2,894,088     52,297,728", "%"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q is not in the output:\n%s", part, stdout)
		}
	}
	for _, name := range []string{"squeezenet-cifar", "squeezenet-cifar-pools1,3", "squeezenet-cifar-pools5,7"} {
		r, err := training.ReadRun(filepath.Join(dir, "runs", name))
		if err != nil || r.Pictures != 8 || r.Result.Images != 2 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"1 epoch of 8 pictures of 2 classes", "share of 2 other pictures", "](page.svg)", "## Pools", "| early, after layers 1 and 3 | squeezenet-cifar-pools1,3 |", strings.Join(args, " ")} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%q is not on the page:\n%s", part, text)
		}
	}
	f, err := os.Open(filepath.Join(dir, "page.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}

	// Nothing is trained again.
	before, err := os.Stat(filepath.Join(dir, "runs", "squeezenet-cifar", training.BestFile))
	if err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := runCommand(t, append(args, "-ended")...); status != 0 || stderr != "" {
		t.Errorf("again: status %d, standard error %q", status, stderr)
	}
	if after, err := os.Stat(filepath.Join(dir, "runs", "squeezenet-cifar", training.BestFile)); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("a run that has ended was made again: %v", err)
	}
	status, _, stderr = runCommand(t, append(args, "-epochs", "2")...)
	if status != 1 {
		t.Errorf("other epochs: status %d", status)
	}
	checkLine(t, stderr, "the run has epochs 1, expected 2")
}

// cancelling is an output that cancels a context when something is written.
type cancelling struct {
	io.Writer
	cancel context.CancelFunc
}

func (c cancelling) Write(b []byte) (int, error) {
	c.cancel()
	return c.Writer.Write(b)
}
