package onnx_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/onnx"
	"firebench/net/tensor"
)

// A fileCase is a file of testdata/cases that must be read, and compute what ONNX Runtime computes, or that must
// be refused. testdata/cases.py makes them.
type fileCase struct {
	Name    string
	Input   []int // N×C×H×W; the values are those of caseInput
	Outputs []caseOutput
	Exact   bool     // the numbers are those of quantized types, and equal
	Layers  []string // their names, if they matter
	Refused []string // what the error must say, besides the file
}

type caseOutput struct {
	Shape  []int
	Values []float32
}

// path returns the case's file.
func (c *fileCase) path() string { return filepath.Join("testdata", "cases", c.Name+".onnx") }

func readCases(t testing.TB) []fileCase {
	t.Helper()
	data, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []fileCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// caseInput returns the numbers on which ONNX Runtime ran a case, the same as those of numbers in cases.py.
func caseInput(dims []int) *tensor.Tensor {
	x := tensor.New(dims...)
	for i := range x.Data {
		x.Data[i] = (float32(uint32(i+1)*2654435761>>24) - 128) / 32
	}
	return x
}

// TestCases reads every operator in all of its variants, and runs it, and tries every refusal.
func TestCases(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			m, w, err := onnx.Open(c.path())
			if c.Refused != nil {
				if err == nil { // the numbers are read when they are needed
					var p *graph.Plan
					if p, err = graph.Compile(m, w, graph.Options{Threads: 1}); err == nil {
						p.Close()
					}
				}
				checkRefusal(t, err, append(c.Refused, c.path()))
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, n := range m.Nodes {
				names = append(names, n.Name)
			}
			if c.Layers != nil && !slices.Equal(names, c.Layers) {
				t.Errorf("layers %q, want %q", names, c.Layers)
			}
			within := 1e-5
			if c.Exact {
				within = 0
			}
			if err := runFile(m, w, caseInput(c.Input), c.Outputs, within); err != nil {
				t.Error(err)
			}
		})
	}
}

// runFile runs a network that was read from a file, with the direct algorithm, whose sums are the
// textbook's. The outputs must be as wanted, within a share of the largest value.
func runFile(m *graph.Model, w graph.Weights, input *tensor.Tensor, want []caseOutput, within float64) error {
	if len(input.Dims) < 4 { // vectors are images of one pixel
		input.Dims = append(slices.Clip(input.Dims), slices.Repeat([]int{1}, 4-len(input.Dims))...)
	}
	p, err := graph.Compile(m, w, graph.Options{Algo: "direct", Threads: 1, Batch: input.Dims[0]})
	if err != nil {
		return err
	}
	defer p.Close()
	if err := input.ToView(p.Input()); err != nil {
		return err
	}
	if err := p.Run(); err != nil {
		return err
	}
	got := p.Outputs()
	if len(got) == 1 && len(want) == 2 {
		got = []kernels.View{p.Logits(), p.Output()}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d outputs, want %d", len(got), len(want))
	}
	for i, v := range got {
		if err := compareOutput(v, want[i], within); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// compareOutput compares the numbers that v stands for, in the order N, C, H, W. Where nothing but dimensions is
// changed, as by a Reshape, the network goes on with its own ones.
func compareOutput(v kernels.View, want caseOutput, within float64) error {
	if v.N*v.C*v.H*v.W != len(want.Values) {
		return fmt.Errorf("the size is %v, want %v", v, want.Shape)
	}
	most := 0.0
	for _, x := range want.Values {
		if x := math.Abs(float64(x)); x > most && !math.IsInf(x, 0) {
			most = x
		}
	}
	i := 0
	for n := range v.N {
		for c := range v.C {
			for y := range v.H {
				for x := range v.W {
					var got float32
					if v.Element == kernels.Uint8 {
						got = float32(int32(kernels.At[uint8](v, n, y, x, c))-v.Zero) * v.Scale
					} else {
						got = kernels.At[float32](v, n, y, x, c)
					}
					want := want.Values[i]
					i++
					d := math.Abs(float64(got) - float64(want))
					if !(d <= within*most) && got != want && (got == got || want == want) {
						return fmt.Errorf("image %d, channel %d, row %d, column %d: %g, want %g", n, c, y, x, got, want)
					}
				}
			}
		}
	}
	return nil
}

// checkRefusal checks that an error is one line that has all of those words.
func checkRefusal(t *testing.T, err error, words []string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q", words)
	}
	text := err.Error()
	if strings.ContainsAny(text, "\r\n") {
		t.Errorf("the error %q has several lines", text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("the error is\n\t%s\nand does not say %q", text, word)
		}
	}
}

// TestCaseFiles makes sure that no file is left aside.
func TestCaseFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/cases/*.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readCases(t)); n != len(files) || n == 0 {
		t.Errorf("%d cases, but %d files", n, len(files))
	}
}

// tempDir returns a folder for the time of a test. Models that are garbage then are closed before it is removed, since
// Windows removes no files that are open.
func tempDir(t testing.TB) string {
	dir := t.TempDir()
	t.Cleanup(runtime.GC)
	return dir
}

// TestDamagedFiles cuts a file off at each place, and changes each byte of it.
func TestDamagedFiles(t *testing.T) {
	whole, err := os.ReadFile("testdata/cases/conv.onnx")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tempDir(t), "damaged.onnx")
	write := func(data []byte) {
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	step := 1
	if testing.Short() {
		step = 11
	}
	for n := 0; n < len(whole); n += step {
		write(whole[:n])
		_, _, err := onnx.Open(path)
		checkRefusal(t, err, []string{path})
	}
	for i := 0; i < len(whole); i += step {
		changed := slices.Clone(whole)
		for _, bit := range []byte{1, 0x80} {
			changed[i] = whole[i] ^ bit
			write(changed)
			if err := openAll(path); err != nil {
				checkRefusal(t, err, []string{path})
			}
		}
	}
	write([]byte("not a model"))
	_, _, err = onnx.Open(path)
	checkRefusal(t, err, []string{path})
	missing := filepath.Join(filepath.Dir(path), "missing.onnx")
	_, _, err = onnx.Open(missing)
	checkRefusal(t, err, []string{missing})
	_, _, err = onnx.Open(filepath.Dir(path))
	checkRefusal(t, err, []string{filepath.Dir(path)})
}

// openAll reads a file with all of its numbers.
func openAll(path string) error {
	m, w, err := onnx.Open(path)
	if err != nil {
		return err
	}
	if m, err = w.Adapt(m); err != nil {
		return err
	}
	params, err := m.Params()
	if err != nil {
		return err
	}
	for _, p := range params {
		if _, err := w.Layer(p); err != nil {
			return err
		}
	}
	return nil
}

// TestExternalLinks puts the numbers of a model behind symbolic links: those that lead out of the model's folder
// lead nowhere.
func TestExternalLinks(t *testing.T) {
	model, err := os.ReadFile("testdata/cases/external.onnx")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/cases/weights.bin")
	if err != nil {
		t.Fatal(err)
	}
	top := tempDir(t)
	folder := filepath.Join(top, "folder")
	path := filepath.Join(folder, "model.onnx")
	for _, err := range []error{
		os.Mkdir(folder, 0o777),
		os.WriteFile(path, model, 0o666),
		os.WriteFile(filepath.Join(folder, "inside.bin"), data, 0o666),
		os.WriteFile(filepath.Join(top, "outside.bin"), data, 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(folder, "weights.bin")
	for _, target := range []string{"inside.bin", "../outside.bin", filepath.Join(top, "outside.bin"), "../folder/inside.bin", "weights.bin", "missing.bin"} {
		t.Run(filepath.Base(filepath.Dir(target))+"."+filepath.Base(target), func(t *testing.T) {
			if err := os.Symlink(target, link); err != nil {
				t.Skipf("no symbolic links: %v", err)
			}
			defer os.Remove(link)
			err := openAll(path)
			if target == "inside.bin" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			checkRefusal(t, err, []string{path, "weights.bin"})
		})
	}
}
