package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/models"
	"firebench/net/preprocess"
	"firebench/net/tensor"
)

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
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		var results [][]float32
		algorithms := algorithms
		if testing.Short() {
			algorithms = algorithms[:2] // auto is one of them for each layer
		}
		for _, algorithm := range algorithms {
			out := write(t, t.TempDir(), "logits.npy", []byte("old"))
			args := []string{"-isa", set.ISA.String(), "-algo", algorithm.name, "-weights", weights, "-logits", out}
			status, stdout, stderr := command(append(args, input)...)
			if status != 0 || !strings.Contains(stdout, ", "+set.ISA.String()+" "+algorithm.name+", ") {
				t.Fatalf("%s: status %d, output %q, standard error %q", algorithm.name, status, stdout, stderr)
			}
			got, err := tensor.ReadNPYFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Dims, want.Dims) {
				t.Fatalf("%s: shape %s, want %s", algorithm.name, got.Shape(), want.Shape())
			}
			for i := range got.Data {
				if d := math.Abs(float64(got.Data[i] - want.Data[i])); !(d <= algorithm.bound*largest) {
					t.Errorf("%s: logit %d is %v, want %v", algorithm.name, i, got.Data[i], want.Data[i])
				}
			}
			results = append(results, got.Data)
		}
		if slices.Equal(results[0], results[1]) {
			t.Error("direct and winograd give the same bits: one of them did not run")
		}
	})
}

// algorithms are the values of -algo and how far logits may be off, relative to the largest.
var algorithms = []struct {
	name  string
	bound float64
}{{"direct", 1e-4}, {"winograd", 1e-3}, {"auto", 1e-3}}

// TestModels classifies a picture with every model, each by its own preprocessor.
func TestModels(t *testing.T) {
	photo := write(t, t.TempDir(), "photo.png", encoded(t, png.Encode, picture(60, 40)))
	for _, m := range models.All() {
		t.Run(m.Name, func(t *testing.T) {
			if testing.Short() && strings.HasPrefix(m.Name, "alexnet") {
				t.Skip("short mode: 60 million weights")
			}
			status, stdout, stderr := command("-model", m.Name, photo)
			if status != 0 || !strings.Contains(stdout, ": preprocessor "+m.Preprocessor+", "+m.Name+" f32, ") {
				t.Errorf("status %d, output %q", status, stdout)
			}
			checkLine(t, stderr, "the answer means nothing")
		})
	}
}

// TestPhotographs compares the answers for real photographs, by both algorithms, with
// those of another implementation, whose JPEG decoder and resizer are others too.
func TestPhotographs(t *testing.T) {
	expected := photographs(t, "images/expected.json")
	if testing.Short() {
		expected = expected[:1]
	}
	for _, algorithm := range algorithms[:2] {
		args := []string{"-json", "-algo", algorithm.name, "-weights", kerneltest.Shared(t, "weights/compressed_SqueezeNet.net")}
		for _, e := range expected {
			args = append(args, kerneltest.Shared(t, "images/"+e.File))
		}
		status, stdout, stderr := command(args...)
		if status != 0 || strings.Contains(stderr, "random") {
			t.Fatalf("%s: status %d, standard error %q", algorithm.name, status, stderr)
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
				t.Errorf("%s, %s: class %d with probability %.4f, want %d with %.4f", algorithm.name, e.File, got.Class, got.Prob, class, prob)
			}
		}
	}
}

// TestOrientation turns a photograph and says so in its Exif data: the answer must stay,
// where that for a turned dog is much less certain.
func TestOrientation(t *testing.T) {
	f, err := os.Open(kerneltest.Shared(t, "images/n02088238_basset.JPEG"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	upright, err := preprocess.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	w, h := upright.Rect.Dx(), upright.Rect.Dy()
	turned := image.NewRGBA(image.Rect(0, 0, h, w)) // to the left, as by a camera held to the right
	for y := range h {
		for x := range w {
			turned.SetRGBA(y, w-1-x, upright.RGBAAt(x, y))
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, turned, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	exif := []byte("\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
	file := slices.Concat(b.Bytes()[:2], exif, b.Bytes()[2:])
	status, stdout, stderr := commandOn(bytes.NewReader(file), "-json", "-weights", kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"), "-")
	var r result
	if err := json.Unmarshal([]byte(stdout), &r); status != 0 || err != nil {
		t.Fatalf("status %d, standard error %q, %v", status, stderr, err)
	}
	if g := r.Top[0]; g.Label != "basset" || math.Abs(float64(g.Prob)-0.756) > 0.03 {
		t.Errorf("%s with probability %v, want basset with 0.756", g.Label, g.Prob)
	}
}
