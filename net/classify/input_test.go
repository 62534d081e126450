package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"firebench/kernels/kerneltest"
	"firebench/net/cli"
	"firebench/net/tensor"
)

// TestBadInputs gives classify bad files, each of which it must answer with one line.
func TestBadInputs(t *testing.T) {
	noise := make([]byte, 500_000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	photo := encoded(t, encodeJPEG, picture(300, 200))
	graphic := encoded(t, png.Encode, picture(300, 200))
	input := tensor.New(1, 3, 227, 227)
	npy := encodedTensor(t, input)
	with := func(i int, v float64) []byte {
		x := tensor.New(input.Dims...)
		x.Data[i] = float32(v)
		return encodedTensor(t, x)
	}
	var dot bytes.Buffer // in a canvas of legal size
	if err := gif.EncodeAll(&dot, &gif.GIF{
		Image:  []*image.Paletted{image.NewPaletted(image.Rect(3, 4, 4, 5), color.Palette{color.Black, color.White})},
		Delay:  []int{0},
		Config: image.Config{Width: 60, Height: 40},
	}); err != nil {
		t.Fatal(err)
	}
	huge := tensor.New(input.Dims...)
	for i := range huge.Data {
		huge.Data[i] = math.MaxFloat32
	}

	dir := t.TempDir()
	tests := []struct {
		name    string
		content []byte
		want    string
	}{
		{"empty.jpg", nil, "not a JPEG, PNG or GIF"},
		{"text.jpg", []byte("This is not a photograph.\n"), "not a JPEG, PNG or GIF"},
		{"noise.png", noise, "not a JPEG, PNG or GIF"},
		{"cut.jpg", photo[:len(photo)/2], "damaged or truncated JPEG image"},
		{"almost.jpg", photo[:len(photo)-2], "damaged or truncated JPEG image"},
		{"head.jpg", photo[:2], "damaged or truncated JPEG image"},
		{"cut.png", graphic[:len(graphic)/2], "damaged or truncated PNG image"},
		{"cut.gif", encoded(t, encodeGIF, picture(30, 20))[:900], "GIF image"},
		{"dot.gif", dot.Bytes(), "image of 1×1 pixels, expected at least 8"},
		{"damaged.png", slices.Concat(graphic[:40], noise), "damaged or truncated PNG image"},
		{"1x1.png", encoded(t, png.Encode, picture(1, 1)), "image of 1×1 pixels, expected at least 8"},
		{"7x100.png", encoded(t, png.Encode, picture(7, 100)), "image of 7×100 pixels, expected at least 8"},
		{"0x0.png", pngHeader(0, 0), "PNG image"},
		{"20000x20000.png", pngHeader(20000, 20000), "image of 20000×20000 pixels, expected at most 16384"},
		{"10000x10000.png", pngHeader(10000, 10000), "image of 10000×10000 pixels, which takes 762 MB to decode, expected at most 512"},
		{"most.png", pngHeader(math.MaxInt32, math.MaxInt32), "PNG image"},
		{"empty.npy", nil, "npy: empty"},
		{"text.npy", []byte("This is not an array.\n"), "npy: starts with"},
		{"cut.npy", npy[:len(npy)-1], "npy: shape 1×3×227×227: truncated"},
		{"long.npy", append(slices.Clone(npy), 0), "npy: shape 1×3×227×227: more than"},
		{"224.npy", encodedTensor(t, tensor.New(1, 3, 224, 224)), "shape 1×3×224×224, expected 1×3×227×227 for squeezenet1.0"},
		{"nhwc.npy", encodedTensor(t, tensor.New(1, 227, 227, 3)), "shape 1×227×227×3, expected 1×3×227×227"},
		{"large.npy", encodedTensor(t, tensor.New(9, 3, 227, 227)), "9×3×227×227 has more than 1236696 values"},
		{"batch.npy", encodedTensor(t, tensor.New(2, 3, 227, 227)), "shape 2×3×227×227, expected 1×3×227×227"},
		{"chw.npy", encodedTensor(t, tensor.New(3, 227, 227)), "shape 3×227×227, expected 1×3×227×227"},
		{"nan.npy", with(227*227+2*227+3, math.NaN()), "value [0,1,2,3] is NaN"},
		{"inf.npy", with(len(input.Data)-1, math.Inf(-1)), "value [0,2,226,226] is -Inf"},
		{"huge.npy", encodedTensor(t, huge), "the network's result is not finite"},
	}
	var paths, wants []string
	for _, test := range tests {
		paths, wants = append(paths, write(t, dir, test.name, test.content)), append(wants, test.want)
	}
	paths = append(paths, filepath.Join(dir, "none.jpg"), filepath.Join(dir, "none.npy"), dir, os.DevNull)
	missing := kerneltest.StatError(t, filepath.Join(dir, "none.jpg"))
	wants = append(wants, missing, missing, "is a folder", "is a device")
	status, stdout, stderr := command(paths...)
	if status != 1 || stdout != "" {
		t.Errorf("status %d, output %q, expected status 1 and none", status, stdout)
	}
	lines := slices.Collect(strings.Lines(stderr))
	if len(lines) != len(paths) {
		t.Fatalf("%d lines for %d files: %q", len(lines), len(paths), stderr)
	}
	for i, path := range paths {
		checkLine(t, lines[i], "classify: "+path+": ", wants[i])
	}

	status, _, stderr = command(filepath.Join(dir, "a\nb.jpg"))
	if status != 1 {
		t.Errorf("line feed in the name: status %d, expected 1", status)
	}
	checkLine(t, stderr, `a\nb.jpg: `+kerneltest.StatError(t, filepath.Join(dir, "a\nb.jpg")))
}

func TestBadWeights(t *testing.T) {
	dir := t.TempDir()
	photo := write(t, dir, "photo.jpg", encoded(t, encodeJPEG, picture(60, 40)))
	noise := make([]byte, 675_763)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, test := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"empty.net", nil, "empty"},
		{"noise.net", noise, "layer conv1"},
		{"zeros.net", make([]byte, 675_763), "layer conv1: all weights are zero"},
		{"short.net", noise[:100], "100 bytes, expected"},
		{"large.net", make([]byte, 10<<20), "unknown format: it starts with "},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, dir, test.name, test.content)
			status, stdout, stderr := command("-weights", path, photo)
			if status != 1 || stdout != "" {
				t.Errorf("status %d, output %q, expected status 1 and none", status, stdout)
			}
			checkLine(t, stderr, path+": ", test.want)
		})
	}
	t.Run("other model", func(t *testing.T) {
		path := kerneltest.Shared(t, "weights/compressed_SqueezeNet.net")
		status, stdout, stderr := command("-model", "alexnet", "-weights", path, photo)
		if status != 1 || stdout != "" {
			t.Errorf("status %d, output %q, expected status 1 and none", status, stdout)
		}
		checkLine(t, stderr, path+": ", "alexnet")
	})
}

// TestGoesOn gives classify a bad file between good ones.
func TestGoesOn(t *testing.T) {
	dir := t.TempDir()
	jpg := write(t, dir, "photo.jpg", encoded(t, encodeJPEG, picture(60, 40)))
	bad := write(t, dir, "text.jpg", []byte("text"))
	gif := write(t, dir, "picture.gif", encoded(t, encodeGIF, picture(60, 40)))
	npy := write(t, dir, "tensor.npy", encodedTensor(t, tensor.New(1, 3, 227, 227)))
	status, stdout, stderr := command("-top", "2", jpg, bad, gif, npy)
	if status != 1 {
		t.Errorf("status %d, expected 1", status)
	}
	guess := ` *\d+\.\d\d %  n\d{8}  [^\n]+\n`
	want := regexp.MustCompile(
		`^` + regexp.QuoteMeta(jpg) + `: preprocessor caffe-bgr-227, squeezenet1\.0 f32, [a-z0-9-]+ auto, [0-9.]+ ms\n` + guess + guess +
			`\n` + regexp.QuoteMeta(gif) + `: preprocessor caffe-bgr-227, .*\n` + guess + guess +
			`\n` + regexp.QuoteMeta(npy) + `: preprocessed tensor, .*\n` + guess + guess + `$`)
	if !want.MatchString(stdout) {
		t.Errorf("output:\n%s\nexpected to match\n%s", stdout, want)
	}
	notes, rest, _ := strings.Cut(stderr, "\n")
	checkLine(t, notes+"\n", "random", "means nothing")
	checkLine(t, rest, bad+": not a JPEG")
}

// TestStandardInput reads a picture from standard input, beside others.
func TestStandardInput(t *testing.T) {
	picture := encoded(t, png.Encode, picture(60, 40))
	file := write(t, t.TempDir(), "a.png", picture)
	_, want, _ := command("-json", file)
	status, stdout, stderr := commandOn(bytes.NewReader(picture), "-json", "-", file)
	if status != 0 {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	var results [3]result
	d := json.NewDecoder(strings.NewReader(want + stdout))
	for i := range results {
		if err := d.Decode(&results[i]); err != nil {
			t.Fatal(err)
		}
	}
	if results[1].File != "-" || !slices.Equal(results[1].Top, results[0].Top) || !reflect.DeepEqual(results[2].Top, results[0].Top) {
		t.Errorf("output %q, expected the results of %q, and of - first", stdout, want)
	}
	for _, test := range []struct {
		stdin io.Reader
		want  string
	}{
		{strings.NewReader(""), "classify: standard input: not a JPEG, PNG or GIF"},
		{bytes.NewReader(picture[:len(picture)/2]), "classify: standard input: damaged or truncated PNG"},
		{iotest.ErrReader(errors.New("broken pipe")), "classify: standard input: broken pipe"},
		{io.LimitReader(zeros{}, cli.MaxPicture+1), "classify: standard input: more than 134217728 bytes"},
	} {
		status, stdout, stderr := commandOn(test.stdin, "-")
		if status != 1 || stdout != "" {
			t.Errorf("status %d, output %q, expected status 1 and none", status, stdout)
		}
		checkLine(t, stderr, test.want)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestManyInputs checks that the results are in the inputs' order, and errors where they
// belong, when many are read ahead.
func TestManyInputs(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: many runs of a network")
	}
	dir := t.TempDir()
	var inputs []string
	want := map[string]result{}
	for i := range 12 {
		name := fmt.Sprintf("%d.png", i)
		content := encoded(t, png.Encode, picture(900-70*i, 40+i)) // the later, the faster
		if i%5 == 4 {
			content = content[:100]
		}
		path := write(t, dir, name, content)
		inputs = append(inputs, path)
		if status, stdout, _ := command("-json", path); status == 0 {
			var r result
			if err := json.Unmarshal([]byte(stdout), &r); err != nil {
				t.Fatal(err)
			}
			want[path] = r
		}
	}
	var both lines // as a terminal shows them
	status := run(t.Context(), append([]string{"-json"}, inputs...), nil, &both, &both)
	if status != 1 || len(both) != 1+len(inputs) || len(want) != 10 {
		t.Fatalf("status %d, %d lines, %d results for %d inputs", status, len(both), len(want), len(inputs))
	}
	for i, line := range both[1:] { // the first is that the weights are random
		w, ok := want[inputs[i]]
		if !ok {
			checkLine(t, line, inputs[i]+": damaged or truncated PNG")
			continue
		}
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.File != inputs[i] || !slices.Equal(r.Top, w.Top) {
			t.Errorf("line %d: %s, expected %v", i, line, w)
		}
	}
}

// lines collects what is written, a line at a time.
type lines []string

func (l *lines) Write(p []byte) (int, error) { *l = append(*l, string(p)); return len(p), nil }
