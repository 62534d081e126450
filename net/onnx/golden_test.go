package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/tensor"
)

// open opens a file of the shared data.
func open(t *testing.T, name string) (*graph.Model, graph.Weights) {
	t.Helper()
	m, w, err := Open(kerneltest.Shared(t, "weights/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return m, w
}

// compile compiles a plan and closes it when the test ends.
func compile(t *testing.T, m *graph.Model, w graph.Weights, o graph.Options) *graph.Plan {
	t.Helper()
	p, err := graph.Compile(m, w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// readShared reads a tensor of the shared data.
func readShared(t *testing.T, name string) *tensor.Tensor {
	t.Helper()
	x, err := tensor.ReadNPYFile(kerneltest.Shared(t, "golden/"+name))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// logits runs p on x.
func logits(t *testing.T, p *graph.Plan, x *tensor.Tensor) []float32 {
	t.Helper()
	if err := x.ToView(p.Input()); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	return tensor.FromView(p.Logits()).Data
}

// TestGoldenFloat compares the published squeezenet1.1 with another implementation's results.
func TestGoldenFloat(t *testing.T) {
	m, w := open(t, "squeezenet1.1_fp16.onnx")
	x, want := readShared(t, "squeezenet1.1-input.npy"), readShared(t, "squeezenet1.1-logits.npy").Data
	bound := 0.0
	for _, v := range want {
		bound = max(bound, 1e-3*math.Abs(float64(v)))
	}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		got := logits(t, compile(t, m, w, graph.Options{Set: set}), x)
		if len(got) != len(want) {
			t.Fatalf("%d logits, want %d", len(got), len(want))
		}
		for c, v := range got {
			if d := math.Abs(float64(v - want[c])); !(d <= bound) {
				t.Errorf("class %d: logit %v, want %v ± %.2g", c, v, want[c], bound)
			}
		}
	})
}

// TestGoldenQuantized: a quantized file has the results of ONNX Runtime, bit for bit. The weights have 7 bits, so that its
// sums do not saturate.
func TestGoldenQuantized(t *testing.T) {
	files := map[string][]string{ // inputs and logits
		"squeezenet1.0_qdq7.onnx": {"input%d.npy", "squeezenet1.0_qdq7-logits%d.npy"},
		"squeezenet1.1_qdq7.onnx": {"squeezenet1.1-input.npy", "squeezenet1.1_qdq7-logits.npy"},
	}
	for name, golden := range files {
		t.Run(name, func(t *testing.T) {
			m, w := open(t, name)
			kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
				kerneltest.SkipSlow(t, set)
				p := compile(t, m, w, graph.Options{Set: set})
				inputs := 1
				if strings.Contains(golden[0], "%") && !testing.Short() && set.ISA != kernels.Scalar {
					inputs = 3
				}
				for i := range inputs {
					nth := func(s string) string {
						if strings.Contains(s, "%") {
							return fmt.Sprintf(s, i)
						}
						return s
					}
					got, want := logits(t, p, readShared(t, nth(golden[0]))), readShared(t, nth(golden[1])).Data
					if !slices.Equal(got, want) {
						t.Errorf("input %d: logits %v, want %v", i, got, want)
					}
				}
			})
		})
	}
}
