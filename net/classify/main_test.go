package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/models"
	"firebench/net/tensor"
)

// command runs the command and returns what came of it.
func command(args ...string) (status int, stdout, stderr string) {
	var out, err bytes.Buffer
	status = run(args, &out, &err)
	return status, out.String(), err.String()
}

// picture returns an image without two equal pixels side by side.
func picture(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{uint8(7 * x), uint8(5 * y), uint8(3 * (x + y)), 255})
		}
	}
	return img
}

func encoded(t *testing.T, encode func(io.Writer, image.Image) error, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func encodeJPEG(w io.Writer, img image.Image) error { return jpeg.Encode(w, img, nil) }
func encodeGIF(w io.Writer, img image.Image) error  { return gif.Encode(w, img, nil) }

// pngHeader returns a PNG file that ends after its header.
func pngHeader(w, h uint32) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, w)
	chunk = binary.BigEndian.AppendUint32(chunk, h)
	chunk = append(chunk, 8, 2, 0, 0, 0) // 8 bits, RGB
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d")
	b = append(b, chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

func encodedTensor(t *testing.T, x *tensor.Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tensor.WriteNPY(&b, x); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t *testing.T, dir, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkLine checks that stderr is one line of an error with these parts.
func checkLine(t *testing.T, stderr string, parts ...string) {
	t.Helper()
	line, ok := strings.CutSuffix(stderr, "\n")
	if !ok || strings.Contains(line, "\n") || !strings.HasPrefix(line, "classify: ") {
		t.Errorf("standard error is %q, expected one line from classify", stderr)
	}
	for _, part := range parts {
		if !strings.Contains(stderr, part) {
			t.Errorf("standard error is %q, expected %q in it", stderr, part)
		}
	}
}

func TestUsage(t *testing.T) {
	unusable := "neon"
	if isas, _ := kernels.Supported(); slices.Contains(isas, kernels.NEON) {
		unusable = "avx2"
	}
	for _, test := range []struct {
		args string
		want string
	}{
		{"", "no INPUT"},
		{"-json", "no INPUT"},
		{"-colour a.jpg", "-colour"},
		{"-top 0 a.jpg", "-top 0: expected 1 to 1000"},
		{"-top 1001 a.jpg", "-top 1001: expected 1 to 1000"},
		{"-top many a.jpg", `"many"`},
		{"-top", "-top"},
		{"-threads -1 a.jpg", "-threads -1"},
		{"-threads 1000000000 a.jpg", "-threads 1000000000"},
		{"-model vgg16 a.jpg", `unknown model "vgg16", expected one of squeezenet1.0`},
		{"-isa mmx a.jpg", `unknown instruction set "mmx"`},
		{"-algo fft a.jpg", `unknown algorithm "fft", expected auto, direct or winograd`},
		{"-algo= a.jpg", `unknown algorithm ""`},
		{"-isa " + unusable + " a.jpg", unusable + " is not usable here, expected one of [scalar"},
		{"-logits out.npy a.jpg b.jpg", "out.npy: expected a single INPUT, not 2"},
		{"a.jpg -json", "-json after the first INPUT"},
	} {
		t.Run(test.args, func(t *testing.T) {
			status, stdout, stderr := command(strings.Fields(test.args)...)
			if status != 2 || stdout != "" {
				t.Errorf("status %d, output %q, expected status 2", status, stdout)
			}
			checkLine(t, stderr, test.want)
		})
	}
	t.Run("environment", func(t *testing.T) {
		t.Setenv("FIREBENCH_ISA", "mmx")
		status, _, stderr := command("a.jpg")
		if status != 2 {
			t.Errorf("status %d, expected 2", status)
		}
		checkLine(t, stderr, "FIREBENCH_ISA", `"mmx"`)
	})
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := command("-help")
	if status != 0 || stderr != "" {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	for _, flag := range []string{"INPUT...", "-model", "-weights", "-isa", "-algo", "-threads", "-top", "-json", "-logits"} {
		if !strings.Contains(stdout, flag) {
			t.Errorf("the help does not mention %s", flag)
		}
	}
}

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
		{"10000x10000.png", pngHeader(10000, 10000), "image of 10000×10000 pixels, expected at most 25 megapixels"},
		{"most.png", pngHeader(math.MaxInt32, math.MaxInt32), "PNG image"},
		{"empty.npy", nil, "npy: empty"},
		{"text.npy", []byte("This is not an array.\n"), "npy: starts with"},
		{"cut.npy", npy[:len(npy)-1], "npy: shape 1×3×227×227: truncated"},
		{"long.npy", append(slices.Clone(npy), 0), "npy: shape 1×3×227×227: more than"},
		{"224.npy", encodedTensor(t, tensor.New(1, 3, 224, 224)), "shape 1×3×224×224, expected 1×3×227×227 for squeezenet1.0"},
		{"nhwc.npy", encodedTensor(t, tensor.New(1, 227, 227, 3)), "shape 1×227×227×3, expected 1×3×227×227"},
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
	wants = append(wants, "no such file", "no such file", "is a folder", "is a device")
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
	checkLine(t, stderr, `a\nb.jpg: no such file`)
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
		{"large.net", make([]byte, 10<<20), "10485760 bytes, expected at most"},
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
		`^` + regexp.QuoteMeta(jpg) + `: recipe caffe-bgr-227, squeezenet1\.0, [a-z0-9]+ auto, [0-9.]+ ms\n` + guess + guess +
			`\n` + regexp.QuoteMeta(gif) + `: recipe caffe-bgr-227, .*\n` + guess + guess +
			`\n` + regexp.QuoteMeta(npy) + `: preprocessed tensor, .*\n` + guess + guess + `$`)
	if !want.MatchString(stdout) {
		t.Errorf("output:\n%s\nexpected to match\n%s", stdout, want)
	}
	notes, rest, _ := strings.Cut(stderr, "\n")
	checkLine(t, notes+"\n", "random", "means nothing")
	checkLine(t, rest, bad+": not a JPEG")
}

func TestJSON(t *testing.T) {
	dir := t.TempDir()
	inputs := []string{
		write(t, dir, "a&b.png", encoded(t, png.Encode, picture(60, 40))),
		write(t, dir, "tensor.NPY", encodedTensor(t, tensor.New(1, 3, 227, 227))),
		write(t, dir, "c.png", encoded(t, png.Encode, picture(40, 60))),
	}
	status, stdout, stderr := command(append([]string{"-json", "-top", "1000", "-threads", "1"}, inputs...)...)
	if status != 0 {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	if strings.Count(stderr, "\n") != 2 || !strings.Contains(stderr, "random") || !strings.Contains(stderr, "caffe-bgr-227") {
		t.Errorf("standard error is %q, expected a line on the weights and one on the recipe", stderr)
	}
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
		sum, seen := 0.0, map[int]bool{}
		for j, g := range r.Top {
			seen[g.Class] = true
			sum += float64(g.Prob)
			if j > 0 && g.Prob > r.Top[j-1].Prob {
				t.Errorf("place %d has a higher probability than the one before", j)
			}
			if c := classes()[g.Class]; g.WNID != c.wnid || g.Label != c.label {
				t.Errorf("class %d is called %s %s, expected %v", g.Class, g.WNID, g.Label, c)
			}
		}
		if len(seen) != 1000 || math.Abs(sum-1) > 1e-4 {
			t.Errorf("%d different classes, sum of the probabilities %v", len(seen), sum)
		}
	}
}

func TestLogits(t *testing.T) {
	input := kerneltest.Shared(t, "golden/input1.npy")
	weights := kerneltest.Shared(t, "weights/compressed_SqueezeNet.net")
	want, err := tensor.ReadNPYFile(kerneltest.Shared(t, "golden/logits1.npy"))
	if err != nil {
		t.Fatal(err)
	}
	largest := 0.0
	for _, v := range want.Data {
		largest = max(largest, math.Abs(float64(v)))
	}
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		var results [][]float32
		algos := algos
		if testing.Short() {
			algos = algos[:2] // auto is one of them for each layer
		}
		for _, algo := range algos {
			out := write(t, t.TempDir(), "logits.npy", []byte("old"))
			args := []string{"-isa", set.ISA.String(), "-algo", algo.name, "-weights", weights, "-logits", out}
			status, stdout, stderr := command(append(args, input)...)
			if status != 0 || !strings.Contains(stdout, ", "+set.ISA.String()+" "+algo.name+", ") {
				t.Fatalf("%s: status %d, output %q, standard error %q", algo.name, status, stdout, stderr)
			}
			got, err := tensor.ReadNPYFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Dims, want.Dims) {
				t.Fatalf("%s: shape %s, want %s", algo.name, got.Shape(), want.Shape())
			}
			for i := range got.Data {
				if d := math.Abs(float64(got.Data[i] - want.Data[i])); !(d <= algo.bound*largest) {
					t.Errorf("%s: logit %d is %v, want %v", algo.name, i, got.Data[i], want.Data[i])
				}
			}
			results = append(results, got.Data)
		}
		if slices.Equal(results[0], results[1]) {
			t.Error("direct and winograd give the same bits: one of them did not run")
		}
	})
}

// algos are the values of -algo and how far logits may be off, relative to the largest.
var algos = []struct {
	name  string
	bound float64
}{{"direct", 1e-4}, {"winograd", 1e-3}, {"auto", 1e-3}}

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
	for _, out := range []string{
		filepath.Join(dir, "none", "out.npy"),
		filepath.Join(photo, "out.npy"),
		dir,
	} {
		status, stdout, stderr := command("-logits", out, photo)
		if status != 1 || stdout != "" {
			t.Errorf("%s: status %d, output %q, expected status 1 before any result", out, status, stdout)
		}
		checkLine(t, stderr, "classify: "+out+": ")
	}
	var stderr bytes.Buffer
	if status := run([]string{photo}, failingWriter{}, &stderr); status != 1 || !strings.Contains(stderr.String(), "standard output: disk full\n") {
		t.Errorf("full standard output: status %d, standard error %q", status, stderr.String())
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestModels classifies a picture with every model, each by its own recipe.
func TestModels(t *testing.T) {
	photo := write(t, t.TempDir(), "photo.png", encoded(t, png.Encode, picture(60, 40)))
	for _, m := range models.All() {
		t.Run(m.Name, func(t *testing.T) {
			if testing.Short() && strings.HasPrefix(m.Name, "alexnet") {
				t.Skip("short mode: 60 million weights")
			}
			status, stdout, stderr := command("-model", m.Name, photo)
			if status != 0 || !strings.Contains(stdout, ": recipe "+m.Recipe+", "+m.Name+", ") {
				t.Errorf("status %d, output %q", status, stdout)
			}
			checkLine(t, stderr, "the answer means nothing")
		})
	}
}

// TestPhotographs compares the answers for real photographs, by both algorithms, with
// those of another implementation, whose JPEG decoder and resizer are others too.
func TestPhotographs(t *testing.T) {
	file, err := os.ReadFile(kerneltest.Shared(t, "images/expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected []struct {
		File string
		Top5 [][2]float64 // class and probability
	}
	if err := json.Unmarshal(file, &expected); err != nil {
		t.Fatal(err)
	}
	if len(expected) != 16 {
		t.Fatalf("%d photographs, expected 16", len(expected))
	}
	if testing.Short() {
		expected = expected[:1]
	}
	for _, algo := range algos[:2] {
		args := []string{"-json", "-algo", algo.name, "-weights", kerneltest.Shared(t, "weights/compressed_SqueezeNet.net")}
		for _, e := range expected {
			args = append(args, kerneltest.Shared(t, "images/"+e.File))
		}
		status, stdout, stderr := command(args...)
		if status != 0 || strings.Contains(stderr, "random") {
			t.Fatalf("%s: status %d, standard error %q", algo.name, status, stderr)
		}
		d := json.NewDecoder(strings.NewReader(stdout))
		for _, e := range expected {
			var r result
			if err := d.Decode(&r); err != nil {
				t.Fatal(err)
			}
			if len(r.Top) != 5 {
				t.Fatalf("%d classes, expected 5", len(r.Top))
			}
			class, prob := int(e.Top5[0][0]), e.Top5[0][1]
			if got := r.Top[0]; got.Class != class || math.Abs(float64(got.Prob)-prob) > 0.06 {
				t.Errorf("%s, %s: class %d with probability %.4f, want %d with %.4f", algo.name, e.File, got.Class, got.Prob, class, prob)
			}
		}
	}
}
