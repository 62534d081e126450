package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// TestInt8 calibrates with pictures, saves the scales, and loads them on every instruction set, with
// every algorithm and several threads: the logits have the same bits.
func TestInt8(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: many runs of a network; net/accuracy has one in integers")
	}
	dir := t.TempDir()
	photos := filepath.Join(dir, "photos")
	if err := os.Mkdir(photos, 0o777); err != nil {
		t.Fatal(err)
	}
	photo := write(t, photos, "1.png", encoded(t, png.Encode, picture(60, 40)))
	write(t, photos, "2.png", encoded(t, png.Encode, picture(40, 60)))
	scales, out := filepath.Join(dir, "scales.json"), filepath.Join(dir, "logits.npy")
	logits := func(t *testing.T, args ...string) []byte {
		t.Helper()
		args = append([]string{"-model", "squeezenet1.1", "-type", "int8", "-logits", out}, args...)
		status, stdout, stderr := command(append(args, photo)...)
		if status != 0 || !strings.Contains(stdout, ", squeezenet1.1 int8, ") {
			t.Fatalf("%q: status %d, output %q, standard error %q", args, status, stdout, stderr)
		}
		content, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	want := logits(t, "-calibrate", photos, "-save", scales)
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for i, algo := range append(kernels.Algorithms(), kernels.Auto) {
			threads := []string{"1", "2", "3"}[i%3]
			if !bytes.Equal(logits(t, "-calibrate", scales, "-isa", set.ISA.String(), "-algo", algo, "-threads", threads), want) {
				t.Errorf("%s on %s threads gives other bits", algo, threads)
			}
		}
		// The scales are those of every vector kernel.
		if set.ISA != kernels.Scalar && !bytes.Equal(logits(t, "-calibrate", photos, "-isa", set.ISA.String()), want) {
			t.Error("calibrating with these kernels gives other scales")
		}
	})
	for _, args := range [][]string{{"-keep", "conv1,fire5.squeeze1x1"}, {"-weight-bits", "7"}} {
		if bytes.Equal(logits(t, append(args, "-calibrate", scales)...), want) {
			t.Errorf("%q changes nothing", args)
		}
	}
	if bytes.Equal(logits(t, "-calibrate", photos, "-method", "percentile"), want) {
		t.Error("-method percentile changes nothing")
	}
}

// TestBadCalibration: whatever is wrong with what an int8 network needs is one line.
func TestBadCalibration(t *testing.T) {
	dir := t.TempDir()
	empty, text, bad := filepath.Join(dir, "empty"), filepath.Join(dir, "text"), filepath.Join(dir, "bad")
	for _, d := range []string{empty, text, bad} {
		if err := os.Mkdir(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	photo := write(t, dir, "1.png", encoded(t, png.Encode, picture(60, 40)))
	write(t, text, "notes.txt", []byte("text"))
	notPNG := write(t, bad, "1.png", []byte("text"))
	scales := filepath.Join("..", "accuracy", "testdata", "squeezenet1.0.json")
	good, err := os.ReadFile(scales)
	if err != nil {
		t.Fatal(err)
	}
	// with is the calibration with the first scale, that of the input, replaced.
	with := func(name, scale string) string {
		before, after, ok := strings.Cut(string(good), `"scale": `)
		if !ok {
			t.Fatalf("no scale in %s", good)
		}
		_, after, _ = strings.Cut(after, ",")
		return write(t, dir, name, []byte(before+`"scale": `+scale+","+after))
	}
	none := filepath.Join(dir, "none.json")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-calibrate", empty}, empty + ": the folder is empty, expected pictures"},
		{[]string{"-calibrate", text}, text + ": no picture in it, expected files named "},
		{[]string{"-calibrate", bad}, notPNG + ": not a JPEG, PNG or GIF image"},
		{[]string{"-calibrate", filepath.Join(dir, "none")}, filepath.Join(dir, "none") + ": " + kerneltest.StatError(t, none)},
		{[]string{"-calibrate", none}, none + ": " + kerneltest.StatError(t, none)},
		{[]string{"-calibrate", with("zero.json", "0")}, "zero.json: values[0]: scale of input is 0, expected a positive number"},
		{[]string{"-calibrate", with("negative.json", "-1")}, "negative.json: values[0]: scale of input is -1, expected a positive number"},
		{[]string{"-calibrate", with("nan.json", "NaN")}, "nan.json: not a calibration: "},
		{[]string{"-calibrate", with("infinite.json", "1e99")}, "infinite.json: not a calibration: "},
		{[]string{"-calibrate", scales, "-model", "squeezenet1.1"}, `squeezenet1.0.json: model is "squeezenet1.0", expected "squeezenet1.1"`},
		{[]string{"-calibrate", scales, "-keep", "conv1,conv99"}, "there is no node conv99"},
		// These are found before any picture is read.
		{[]string{"-calibrate", bad, "-keep", "conv1,conv99"}, "squeezenet1.0: keep: there is no node conv99"},
		{[]string{"-calibrate", bad, "-save", filepath.Join(empty, "none", "s.json")}, filepath.Join(empty, "none", "s.json") + ": "},
		{[]string{"-calibrate", bad, "-save", filepath.Join(bad, "s.json")}, notPNG + ": not a JPEG, PNG or GIF image"},
	} {
		args := append([]string{"-type", "int8"}, test.args...)
		status, stdout, stderr := command(append(args, photo)...)
		if status != 1 || stdout != "" {
			t.Errorf("%q: status %d, output %q, expected status 1 and none", args, status, stdout)
		}
		checkLine(t, stderr, test.want)
	}
	if entries, err := os.ReadDir(bad); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, error %v, expected nothing but the picture", entries, err)
	}
}
