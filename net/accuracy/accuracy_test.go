package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/compression"
	"firebench/net/evaluate"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/onnx"
	"firebench/net/weights"
)

// command runs the command and returns what came of it.
func command(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(t.Context(), args, nil, &out, &err)
	return status, out.String(), err.String()
}

// picture returns a PNG file; others differ by their seed.
func picture(t *testing.T, seed int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for y := range 30 {
		for x := range 40 {
			img.SetRGBA(x, y, color.RGBA{uint8(7 * x * seed), uint8(5*y + seed), uint8(3 * (x + y)), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write writes a file, and the folders that it is in.
func write(t *testing.T, dir, name string, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// checkLines checks that stderr has one line of an error for each of want, which is in it.
func checkLines(t *testing.T, stderr string, want ...string) {
	t.Helper()
	lines := slices.Collect(strings.Lines(stderr))
	if len(lines) != len(want) {
		t.Errorf("standard error is %q, expected %d lines", stderr, len(want))
		return
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, "accuracy: ") || !strings.HasSuffix(line, "\n") || !strings.Contains(line, want[i]) {
			t.Errorf("standard error has the line %q, expected %q in it", line, want[i])
		}
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "no IMAGES"},
		{"-weights-type f16 -type int8 -calibrate photos photos", "-weights-type f16 with -type int8"},
		{"-json", "no IMAGES"},
		{"-colour a.jpg", "-colour"},
		{"-threads -1 a.jpg", "-threads -1: expected 0 to"},
		{"-model vgg16 a.jpg", `unknown model "vgg16", expected one of squeezenet1.0`},
		{"-isa mmx a.jpg", `unknown instruction set "mmx"`},
		{"-algo fft a.jpg", kernels.CheckAlgorithm("fft").Error()},
		{"a.jpg -json", "-json after the first of IMAGES"},
		{"-type f16 a.jpg", `"f16"`},
		{"-type int8 a.jpg", "-type int8 without -calibrate"},
		{"-keep conv1 a.jpg", "-keep without -type int8"},
		{"-saturate a.jpg", "-saturate without -type int8"},
		{"-page p.md a.jpg", "-page without -type int8"},
		{"-type int8 -calibrate c.json -page p.md -saturate a.jpg", "-page with -saturate or -weight-bits"},
		{"-type int8 -calibrate c.json -page p.md -weight-bits 7 a.jpg", "-page with -saturate or -weight-bits"},
	} {
		t.Run(test.args, func(t *testing.T) {
			status, stdout, stderr := command(t, strings.Fields(test.args)...)
			if status != 2 || stdout != "" {
				t.Errorf("status %d, output %q, expected status 2", status, stdout)
			}
			checkLines(t, stderr, test.want)
		})
	}
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := command(t, "-help")
	if status != 0 || stderr != "" {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	for _, part := range []string{"IMAGES...", "-model", "-weights", "-isa", "-algo", "-threads", "-type", "-calibrate", "-saturate", "-page", "-json"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the help does not mention %s", part)
		}
	}
}

// TestBadInputs: what stops the command, and what does not.
func TestBadInputs(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.png", picture(t, 1))
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o777); err != nil {
		t.Fatal(err)
	}
	text := write(t, dir, "text/notes.txt", []byte("text"))
	page := write(t, dir, "page.md", []byte("old"))
	scales := filepath.Join("testdata", "squeezenet1.0.json")
	bad := write(t, dir, "bad/bad.jpg", []byte("text"))
	none := filepath.Join(dir, "none.jpg")
	missing := none + ": " + kerneltest.StatError(t, none)
	random := "no -weights: they are random (seed 1), the accuracy means nothing"
	for _, test := range []struct {
		name    string
		args    []string
		printed bool
		want    []string
	}{
		{"empty folder", []string{good, empty}, false, []string{empty + ": the folder is empty"}},
		{"no picture", []string{filepath.Dir(text)}, false, []string{filepath.Dir(text) + ": no picture in it"}},
		{"bad weights", []string{"-weights", text, good}, false, []string{text + ": "}},
		{"no weights", []string{"-weights", none, good}, false, []string{missing}},
		{"bad pictures", []string{"-model", "squeezenet1.1", filepath.Dir(bad), text, none}, false, []string{random, bad + ": not a JPEG, PNG or GIF", text + ": not a JPEG", missing}},
		{"no calibration", []string{"-type", "int8", "-calibrate", empty, good}, false, []string{empty + ": the folder is empty"}},
		{"unwritable page", []string{"-type", "int8", "-calibrate", scales, "-page", empty, good}, false, []string{empty + ": is a folder"}},
		{"no page", []string{"-type", "int8", "-calibrate", scales, "-page", page, good, none}, true, []string{random, missing}},
		{"a good one", []string{"-model", "squeezenet1.1", filepath.Dir(bad), good, none}, true, []string{random, bad + ": not a JPEG", missing}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if testing.Short() && slices.Contains(test.args, "int8") && test.printed {
				t.Skip("short mode: emulated sums")
			}
			status, stdout, stderr := command(t, test.args...)
			if status != 1 || (stdout != "") != test.printed {
				t.Errorf("status %d, output %q, expected status 1", status, stdout)
			}
			checkLines(t, stderr, test.want...)
		})
	}
	if content, err := os.ReadFile(page); err != nil || string(content) != "old" {
		t.Errorf("the page is now %q, %v", content, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 5 {
		t.Errorf("the folder has %v, expected what was written", entries)
	}
}

func TestUnwritableOutput(t *testing.T) {
	var stderr bytes.Buffer
	full := writerFunc(func([]byte) (int, error) { return 0, errors.New("disk full") })
	path := write(t, t.TempDir(), "good.png", picture(t, 1))
	if status := run(t.Context(), []string{"-model", "squeezenet1.1", path}, nil, full, &stderr); status != 1 || !strings.HasSuffix(stderr.String(), "accuracy: standard output: disk full\n") {
		t.Errorf("status %d, standard error %q", status, &stderr)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestText checks the form of the table.
func TestText(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"daisy/1.png", "tulips/2.png"} {
		write(t, dir, name, picture(t, i+1))
	}
	status, stdout, _ := command(t, "-model", "squeezenet1.1", "-threads", "1", "-algo", "direct", dir)
	cell := `\d/1 = \d+\.\d % \[\d+\.\d, \d+\.\d\] +`
	want := regexp.MustCompile(`^squeezenet1\.1, [a-z0-9-]+ direct, 1 thread
2 pictures, 1 without a label, which count for neither top-1 nor top-5

arithmetic +top-1 +top-5 +images/s
float32 +` + cell + cell + `[0-9.]+

Brackets are 95 % intervals, Wilson's of shares\. .*
$`)
	if status != 0 || !want.MatchString(stdout) {
		t.Errorf("status %d, output:\n%s\nexpected to match\n%s", status, stdout, want)
	}
	alone := measurement{paths: []string{"1.png"}}
	if got, want := alone.how(), "1 picture, 1 without a label, which count for neither top-1 nor top-5"; got != want {
		t.Errorf("one picture is %q, want %q", got, want)
	}
	if got := share(evaluate.Share{}); got != "–" {
		t.Errorf("the share of none is %q", got)
	}
}

// results decodes the lines of -json.
func results(t *testing.T, stdout string) (rows []result) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	for {
		var r result
		if err := d.Decode(&r); err == io.EOF {
			return rows
		} else if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
}

// TestPhotographs compares with the answers of another implementation, whose JPEG decoder and resizer
// are others too.
func TestPhotographs(t *testing.T) {
	weights := kerneltest.Shared(t, "weights/compressed_SqueezeNet.net")
	photographs := kerneltest.Shared(t, "images")
	file, err := os.ReadFile(filepath.Join(photographs, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected []struct {
		File  string
		Label int
		Top5  [][2]float64 // class and probability
	}
	if err := json.Unmarshal(file, &expected); err != nil {
		t.Fatal(err)
	}
	images := []string{photographs}
	if testing.Short() {
		expected = expected[:2]
		images = []string{filepath.Join(photographs, expected[0].File), filepath.Join(photographs, expected[1].File)}
	}
	var top1, top5 evaluate.Share
	for _, e := range expected {
		top1.Total++
		top5.Total++
		for i, guess := range e.Top5 {
			if int(guess[0]) == e.Label {
				top5.Count++
				if i == 0 {
					top1.Count++
				}
			}
		}
	}
	status, stdout, stderr := command(t, append([]string{"-json", "-weights", weights}, images...)...)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	rows := results(t, stdout)
	best, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1 {
		t.Fatalf("%d rows, want 1", len(rows))
	}
	r := rows[0]
	if r.Model != "squeezenet1.0" || r.Arithmetic != "float32" || r.ISA != best.String() || r.Algorithm != "auto" || r.Threads < 1 || r.Pictures != len(expected) {
		t.Errorf("model, arithmetic, instruction set, algorithm, threads, pictures are %q %q %q %q %d %d", r.Model, r.Arithmetic, r.ISA, r.Algorithm, r.Threads, r.Pictures)
	}
	if *r.Top1 != *newShareResult(top1) || *r.Top5 != *newShareResult(top5) {
		t.Errorf("top-1 %+v and top-5 %+v, want %v and %v", *r.Top1, *r.Top5, top1, top5)
	}
	if r.Agreement != nil || r.Difference != nil || r.Picture != nil {
		t.Errorf("float32 is compared with itself: %v %v %v", r.Agreement, r.Difference, r.Picture)
	}
	if s := r.Speed; !(s.Median > 0) || (s.Lo == nil) != testing.Short() || s.Lo != nil && !(0 < *s.Lo && *s.Lo <= s.Median && s.Median <= *s.Hi) {
		t.Errorf("speed %v", s)
	}
}

// TestInt8 compares all arithmetics on photographs: one that only exact sums get right, and one whose class
// is on the edge. The scales are of testdata, so the int8 results are the same on every
// machine.
func TestInt8(t *testing.T) {
	args := []string{"-json", "-weights", kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"), "-type", "int8", "-calibrate", "testdata/squeezenet1.0.json"}
	sealyham := kerneltest.Shared(t, "images/n02095889_Sealyham_terrier.JPEG")
	images := []string{sealyham, kerneltest.Shared(t, "images/n04357314_sunscreen.JPEG")}
	type score struct {
		arithmetic      string
		top1, agreement int
		difference      float64
		picture         string
	}
	want := []score{
		{"float32", 1, 0, 0, ""},
		{"int8", 1, 1, 1.332, sealyham},
		{"int8, saturating sums", 0, 1, 12.232, sealyham},
		{"int8, 7-bit weights", 1, 2, 2.223, sealyham},
	}
	if testing.Short() {
		images = []string{sealyham}
		want = []score{
			{"float32", 1, 0, 0, ""},
			{"int8", 1, 1, 1.332, sealyham},
			{"int8, saturating sums", 0, 0, 12.232, sealyham},
			{"int8, 7-bit weights", 1, 1, 2.223, sealyham},
		}
	}
	page := filepath.Join(t.TempDir(), "accuracy.md")
	status, stdout, stderr := command(t, slices.Concat(args, []string{"-page", page}, images)...)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d, standard error %q", status, stderr)
	}
	rows := results(t, stdout)
	if len(rows) != len(want) {
		t.Fatalf("%d rows, want %d", len(rows), len(want))
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if head := "# Accuracy of squeezenet1.0 in integers\n\nWritten by `go run ./net/accuracy -json -weights "; !strings.HasPrefix(string(text), head) {
		t.Errorf("the page is\n%s\nwant %q at its start", text, head)
	}
	for i, r := range rows {
		got := score{arithmetic: r.Arithmetic, top1: r.Top1.Count}
		if i > 0 {
			got.agreement, got.difference, got.picture = r.Agreement.Count, math.Round(*r.Difference*1000)/1000, *r.Picture
		}
		// The logits of float32 differ in their last bits.
		if math.Abs(got.difference-want[i].difference) <= 0.002 {
			got.difference = want[i].difference
		}
		if got != want[i] || r.Pictures != len(images) || r.Top1.Total != len(images) {
			t.Errorf("row %d is %+v of %d, want %+v of %d", i, got, r.Pictures, want[i], len(images))
		}
		line := fmt.Sprintf("\n| %s | %d/%d = ", r.Arithmetic, r.Top1.Count, len(images))
		if !strings.Contains(string(text), line) {
			t.Errorf("the page is\n%s\nwant %q in it", text, line)
		}
	}

	if testing.Short() {
		return
	}
	// The rows of smaller tables are the same.
	describe := func(r result) string {
		if r.Difference == nil {
			return r.Arithmetic
		}
		return fmt.Sprintf("%s, off by %v", r.Arithmetic, *r.Difference)
	}
	for _, test := range []struct {
		flags []string
		want  []result
	}{
		{nil, rows[:2]},
		{[]string{"-saturate"}, rows[:3]},
		{[]string{"-weight-bits", "7"}, []result{rows[0], rows[3]}},
	} {
		status, stdout, stderr := command(t, slices.Concat(args, test.flags, []string{sealyham})...)
		if status != 0 || stderr != "" {
			t.Fatalf("status %d, standard error %q", status, stderr)
		}
		got := results(t, stdout)
		if len(got) != len(test.want) {
			t.Fatalf("%v: %d rows, want %d", test.flags, len(got), len(test.want))
		}
		for i, want := range test.want {
			if got, want := describe(got[i]), describe(want); got != want {
				t.Errorf("%v: row %d is %s, want %s", test.flags, i, got, want)
			}
		}
	}
}

// TestQuantizedFile: a file of quantized values has rows of int8 alone, and of classes that are not
// ImageNet's no picture has a label.
func TestQuantizedFile(t *testing.T) {
	m := &graph.Model{Name: "q", Input: layer.Shape{H: 224, W: 224, C: 3}, Nodes: []graph.Node{
		{Name: "conv", Layer: layer.Conv{Out: 8, Kernel: 3, Stride: 8}},
		{Name: "relu", Layer: layer.ReLU{}},
		{Name: "classes", Layer: layer.Conv{Out: 7, Kernel: 1}},
		{Name: "mean", Layer: layer.GlobalAvgPool{}},
	}}
	c := &compression.Calibration{Model: m.Name, Method: compression.MinMax, Images: 1, Values: []compression.Value{{Name: graph.Input, Scale: 1.5, Zero: 128}}}
	for _, n := range m.Nodes {
		c.Values = append(c.Values, compression.Value{Name: n.Name, Scale: 2, Zero: 100})
	}
	q, w, err := compression.Quantize(c, compression.Options{}).Apply(m, weights.Random(1))
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := onnx.Write(&file, q, w); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := write(t, dir, "q.onnx", file.Bytes())
	photo := write(t, dir, "daisy/1.png", picture(t, 1))

	status, stdout, stderr := command(t, "-json", "-model", path, "-preprocessor", "caffe-bgr-224", photo)
	rows := results(t, stdout)
	if status != 0 || stderr != "" || len(rows) != 1 {
		t.Fatalf("status %d, standard error %q, %d rows", status, stderr, len(rows))
	}
	if r := rows[0]; r.Arithmetic != "int8" || r.Model != "q" || r.Top1 != nil || r.Agreement != nil || r.Pictures != 1 {
		t.Errorf("%+v", r)
	}
	status, stdout, stderr = command(t, "-model", path, "-preprocessor", "caffe-bgr-224", "-type", "int8", "-saturate", photo)
	want := regexp.MustCompile(`(?s)^q, .*
1 picture, 1 without a label, which count for neither top-1 nor top-5; quantized as the file has it

arithmetic +top-1 +top-5 +top-1 as int8 +logits off by +images/s
int8 +– +– +[0-9.e+]+
int8, saturating sums +– +– +[01]/1 = .*
Logits are .* from one of int8\.
$`)
	if status != 0 || stderr != "" || !want.MatchString(stdout) {
		t.Errorf("status %d, standard error %q, output\n%s\nwant to match\n%s", status, stderr, stdout, want)
	}
	for flags, want := range map[string]string{
		"-preprocessor caffe-bgr-224 -type int8 -page " + filepath.Join(dir, "p.md"): "-page: q is quantized already",
		"-type int8 -weight-bits 7": path + ": -weight-bits: its values are quantized already",
		"":                          path + ": it does not say how a picture becomes its input",
	} {
		status, stdout, stderr := command(t, slices.Concat([]string{"-model", path}, strings.Fields(flags), []string{photo})...)
		if status != 1 || stdout != "" {
			t.Errorf("%s: status %d, output %q", flags, status, stdout)
		}
		checkLines(t, stderr, want)
	}
}

// TestKnown: the table says how many of its pictures the network was calibrated with.
func TestKnown(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for i, name := range []string{"photos/1.png", "photos/2.png", "photos/3.png", "others/1.png"} {
		paths = append(paths, write(t, dir, name, picture(t, i)))
	}
	paths[1] = filepath.Join(dir, "others") + "/../photos/2.png"
	photos := filepath.Join(dir, "photos")
	if runtime.GOOS != "windows" {
		link := filepath.Join(dir, "link")
		if err := os.Symlink(photos, link); err != nil {
			t.Fatal(err)
		}
		paths[2] = filepath.Join(link, "3.png")
	}
	for _, test := range []struct {
		calibrate string
		want      string
	}{
		{photos, "4 pictures; calibrated by kl with 3 pictures, 3 of them among those measured"},
		{filepath.Join(dir, "others"), "4 pictures; calibrated by kl with 3 pictures, 1 of them among those measured"},
		{filepath.Join("testdata", "squeezenet1.0.json"), "4 pictures; calibrated by kl with 3 pictures"},
	} {
		o, err := parse([]string{"-type", "int8", "-calibrate", test.calibrate, dir})
		if err != nil {
			t.Fatal(err)
		}
		calibrated, err := o.CalibrationPictures()
		if err != nil {
			t.Fatal(err)
		}
		m := measurement{options: o, paths: paths, labels: len(paths), calibration: &compression.Calibration{Method: compression.KL, Images: 3}}
		m.countKnown(calibrated)
		if got := m.how(); got != test.want {
			t.Errorf("%s: %q, want %q", test.calibrate, got, test.want)
		}
	}
}

func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"1.png", "2.png"} {
		write(t, dir, name, picture(t, i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, test := range []struct{ args, want []string }{
		{[]string{dir}, []string{"random", "interrupted"}},
		{[]string{"-type", "int8", "-calibrate", dir, dir}, []string{"interrupted"}},
	} {
		var stdout, stderr bytes.Buffer
		if status := run(ctx, append([]string{"-model", "squeezenet1.1"}, test.args...), nil, &stdout, &stderr); status != 1 || stdout.Len() > 0 {
			t.Errorf("status %d, output %q, expected status 1 and none", status, &stdout)
		}
		checkLines(t, stderr.String(), test.want...)
	}
}
