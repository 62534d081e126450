package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/kernels/kerneltest"
	"firebench/net/compression"
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

// checkLine checks that stderr is one line of an error with this part.
func checkLine(t *testing.T, stderr, part string) {
	t.Helper()
	line, ok := strings.CutSuffix(stderr, "\n")
	if !ok || strings.Contains(line, "\n") || !strings.HasPrefix(line, "convert: ") || !strings.Contains(line, part) {
		t.Errorf("standard error is %q, expected one line from convert with %q", stderr, part)
	}
}

// checkFiles checks which files are in a folder.
func checkFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", "no -o; convert -help explains"},
		{"-o a.onnx b", "b: expected flags only"},
		{"-o a.txt", "-o a.txt: expected a name that ends in .onnx, .safetensors or .fbw"},
		{"-o onnx", "-o onnx: expected a name"},
		{"-colour -o a.onnx", "-colour"},
		{"-algo direct -o a.onnx", "-algo"}, // which would change nothing
		{"-o a.onnx -seed -1", `"-1"`},
		{"-o a.onnx -seed 1 -weights w", "-seed with -weights: expected one of them"},
		{"-o a.onnx -model vgg16", `unknown model "vgg16"`},
		{"-o a.onnx -type f16", `"f16" for flag -type`},
		{"-o a.onnx -type int8", "-type int8 without -calibrate"},
		{"-o a.onnx -calibrate photos", "-calibrate without -type int8"},
		{"-o a.onnx -weights-type f16", "-weights-type f16: a file has float32 weights"},
		{"-o a.safetensors -type int8 -calibrate photos", "-o a.safetensors with -type int8: safetensors has no place for the scales of quantized values, expected .onnx"},
		{"-o a.fbw -type int8 -calibrate photos", "-o a.fbw with -type int8: FBW has no place for the scales of quantized values, expected .onnx"},
	} {
		status, stdout, stderr := command(t, strings.Fields(test.args)...)
		if status != 2 || stdout != "" {
			t.Errorf("%s: status %d, output %q, expected status 2", test.args, status, stdout)
		}
		checkLine(t, stderr, test.want)
	}
}

func TestHelp(t *testing.T) {
	status, stdout, stderr := command(t, "-help")
	if status != 0 || stderr != "" {
		t.Errorf("status %d, standard error %q", status, stderr)
	}
	for _, part := range []string{"OUT.onnx|OUT.safetensors|OUT.fbw", "-model", "-weights", "-seed", "-preprocessor", "-type", "-calibrate", "-o FILE"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the help does not mention %s", part)
		}
	}
}

// convert runs the command, which must write out, and checks what it says.
func convert(t *testing.T, out string, facts [][2]string, args ...string) []byte {
	t.Helper()
	status, stdout, stderr := command(t, append([]string{"-o", out}, args...)...)
	if status != 0 || stderr != "" {
		t.Fatalf("%q: status %d, standard error %q", args, status, stderr)
	}
	file, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := out + "\n"
	for _, f := range append(facts, [2]string{"bytes", fmt.Sprint(len(file))}, [2]string{"SHA-256", fmt.Sprintf("%x", sha256.Sum256(file))}) {
		want += fmt.Sprintf("%-12s %s\n", f[0], f[1])
	}
	if stdout != want {
		t.Errorf("%q: output\n%s, want\n%s", args, stdout, want)
	}
	return file
}

// facts are what the command says of squeezenet1.1 in a format.
func facts(format, typ string) [][2]string {
	return [][2]string{{"format", format}, {"model", "squeezenet1.1"}, {"input", "224×224×3"}, {"preprocessor", "caffe-bgr-224"}, {"type", typ}, {"parameters", "1235496"}}
}

// TestConvert goes from random weights through every format and back.
func TestConvert(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(runtime.GC) // Windows does not remove the files of models that are not garbage yet
	path := func(name string) string { return filepath.Join(dir, name) }
	a := convert(t, path("a.safetensors"), facts("safetensors", "f32"), "-model", "squeezenet1.1", "-seed", "7")
	b := convert(t, path("b.ONNX"), facts("ONNX", "f32"), "-model", "squeezenet1.1", "-weights", path("a.safetensors"))
	if again := convert(t, path("c.safetensors"), facts("safetensors", "f32"), "-model", path("b.ONNX")); !bytes.Equal(a, again) {
		t.Error("other weights after ONNX")
	}
	if again := convert(t, path("c.onnx"), facts("ONNX", "f32"), "-model", path("b.ONNX")); !bytes.Equal(b, again) {
		t.Error("another network after reading it from ONNX")
	}
	if other := convert(t, path("d.onnx"), facts("ONNX", "f32"), "-model", path("b.ONNX"), "-seed", "8"); bytes.Equal(b, other) || len(b) != len(other) {
		t.Error("-seed does not replace the weights of a file's model")
	}
	torch := facts("ONNX", "f32")
	torch[3][1] = "torchvision-rgb-224"
	convert(t, path("e.onnx"), torch, "-model", path("b.ONNX"), "-preprocessor", "torchvision-rgb-224")
	convert(t, path("f.onnx"), torch, "-model", path("e.onnx"))
	convert(t, path("g.fbw"), facts("FBW", "f32"), "-model", "squeezenet1.1", "-weights", path("a.safetensors"))
	if again := convert(t, path("h.safetensors"), facts("safetensors", "f32"), "-model", "squeezenet1.1", "-weights", path("g.fbw")); !bytes.Equal(a, again) {
		t.Error("other weights after FBW")
	}
	checkFiles(t, dir, "a.safetensors", "b.ONNX", "c.onnx", "c.safetensors", "d.onnx", "e.onnx", "f.onnx", "g.fbw", "h.safetensors")

	w, err := weights.Open(path("a.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := onnx.Open(path("b.ONNX"))
	if err != nil {
		t.Fatal(err)
	}
	params, err := m.Params()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range params {
		want, err := weights.Random(7).Layer(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.Layer(p)
		if err != nil || !slices.Equal(got.Values, want.Values) || !slices.Equal(got.Bias, want.Bias) {
			t.Errorf("%s: other weights than of seed 7, %v", p.Node, err)
		}
	}
}

func TestConvertInt8(t *testing.T) {
	pictures := t.TempDir()
	img := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for y := range 30 {
		for x := range 40 {
			img.SetRGBA(x, y, color.RGBA{uint8(7 * x), uint8(5 * y), uint8(3 * (x + y)), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pictures, "a.png"), b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Cleanup(runtime.GC)
	path := filepath.Join(dir, "a.onnx")
	file := convert(t, path, facts("ONNX", "int8"), "-model", "squeezenet1.1", "-seed", "7", "-type", "int8", "-calibrate", pictures)
	m, _, err := onnx.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	if !compression.IsQuantized(infos) {
		t.Error("the network is not quantized")
	}
	if again := convert(t, filepath.Join(dir, "b.onnx"), facts("ONNX", "int8"), "-model", path); !bytes.Equal(again, file) {
		t.Error("another network after reading it")
	}
	for name, want := range map[string]string{"c.safetensors": "safetensors has no place", "c.fbw": "FBW has no place"} {
		out := filepath.Join(dir, name)
		status, stdout, stderr := command(t, "-model", path, "-o", out)
		if status != 1 || stdout != "" {
			t.Errorf("status %d, output %q, expected status 1", status, stdout)
		}
		checkLine(t, stderr, out+": squeezenet1.1 is quantized: "+want)
	}
	checkFiles(t, dir, "a.onnx", "b.onnx")
}

// TestConvertRandom: without weights there is a warning.
func TestConvertRandom(t *testing.T) {
	status, _, stderr := command(t, "-model", "squeezenet1.1", "-o", filepath.Join(t.TempDir(), "a.safetensors"))
	if status != 0 {
		t.Errorf("status %d", status)
	}
	checkLine(t, stderr, "no -weights: they are random (seed 1), the file means nothing")
}

func TestConvertFails(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	out := filepath.Join(dir, "out.onnx")
	other := filepath.Join(dir, "other.safetensors")
	convert(t, other, facts("safetensors", "f32"), "-model", "squeezenet1.1", "-seed", "1")
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-weights", text, "-o", out}, text + ": unknown format"},
		{[]string{"-weights", missing, "-o", out}, missing + ": " + kerneltest.StatError(t, missing)},
		{[]string{"-model", missing + ".onnx", "-o", out}, missing + ".onnx: "},
		{[]string{"-weights", other, "-o", out}, other + ": weights of squeezenet1.1 do not fit the model squeezenet1.0"},
		{[]string{"-seed", "1", "-o", filepath.Join(missing, "out.onnx")}, filepath.Join(missing, "out.onnx") + ": "},
		{[]string{"-seed", "1", "-type", "int8", "-calibrate", missing, "-o", out}, missing + ": "},
		{[]string{"-seed", "1", "-preprocessor", "torchvision-rgb-224", "-o", out}, "its input is 227×227×3, but preprocessor torchvision-rgb-224 makes 224×224×3"},
	} {
		status, stdout, stderr := command(t, test.args...)
		if status != 1 || stdout != "" {
			t.Errorf("%q: status %d, output %q, expected status 1", test.args, status, stdout)
		}
		checkLine(t, stderr, test.want)
		checkFiles(t, dir, "other.safetensors", "text")
	}
}

// TestInterrupted ends the command while it writes: when it has warned, which it does before.
func TestInterrupted(t *testing.T) {
	for _, ext := range []string{".onnx", ".safetensors", ".fbw"} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr bytes.Buffer
		warned := writerFunc(func(b []byte) (int, error) {
			cancel()
			return stderr.Write(b)
		})
		status := run(ctx, []string{"-model", "squeezenet1.1", "-o", filepath.Join(dir, "out"+ext)}, nil, &stdout, warned)
		if status != 1 || stdout.Len() > 0 {
			t.Errorf("status %d, output %q, expected status 1 and none", status, &stdout)
		}
		if _, line, _ := strings.Cut(stderr.String(), "\n"); line != "convert: interrupted\n" {
			t.Errorf("standard error %q, expected the interruption in its second line", &stderr)
		}
		checkFiles(t, dir)
	}
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestFullOutput: the file stays, but the status tells that nobody could read about it.
func TestFullOutput(t *testing.T) {
	dir := t.TempDir()
	var stderr bytes.Buffer
	full := writerFunc(func([]byte) (int, error) { return 0, io.ErrShortWrite })
	if status := run(t.Context(), []string{"-model", "squeezenet1.1", "-seed", "1", "-o", filepath.Join(dir, "a.onnx")}, nil, full, &stderr); status != 1 {
		t.Errorf("status %d, expected 1", status)
	}
	checkLine(t, stderr.String(), io.ErrShortWrite.Error())
	checkFiles(t, dir, "a.onnx")
}
