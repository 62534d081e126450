package graph_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
)

// rounded are weights of which some nodes have the nearest values that a type of weights has.
type rounded struct {
	stored
	wt    kernels.WeightsType
	nodes []string
}

func (r rounded) weights() stored {
	s := stored{}
	for name, w := range r.stored {
		if slices.Contains(r.nodes, name) {
			w.Values = slices.Clone(w.Values)
			for row := range slices.Chunk(w.Values, len(w.Values)/len(w.Bias)) {
				scale := float64(max(slices.Max(row), -slices.Min(row)) / 127)
				for i, v := range row {
					step := scale
					if r.wt == kernels.Float16Weights {
						_, exponent := math.Frexp(float64(v))
						step = math.Ldexp(1, exponent-11)
					}
					row[i] = float32(math.RoundToEven(float64(v)/step) * step)
				}
			}
		}
		s[name] = w
	}
	return s
}

// TestWeightsType: the layers whose result is one pixel have weights of the type that the options name,
// in any batch, and no other layer has. They compute with the rounded weights; steps tell the bytes that
// they read, and how far the weights are off.
func TestWeightsType(t *testing.T) {
	u8 := kernels.Type{Element: kernels.Uint8, Scale: 0.25, Zero: 100}
	m := small(layer.Shape{H: 12, W: 10, C: 3},
		node("a", layer.Conv{Out: 16, Kernel: 3, Pad: kernels.Pad(1)}), node("relu", layer.ReLU{}),
		node("b", layer.Dense{Out: 70}), node("relu2", layer.ReLU{}),
		node("c", layer.Conv{Out: 40, Kernel: 1}),
		node("q", layer.Quantize{Type: u8}), node("d", layer.Dense{Out: 10, Type: u8}), node("dq", layer.Dequantize{}),
	)
	w := random(t, m)
	low := []string{"b", "c"}
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, wt := range kernels.WeightsTypes() {
			var first []float64
			for _, batch := range []int{1, 3} {
				o := graph.Options{Set: set, Threads: 2, Batch: batch, WeightsType: wt}
				keep := compileKeep(t, m, w, o, 2)
				run(t, keep)
				r := rounded{w, wt, low}
				if wt == kernels.Float32Weights {
					r.nodes = nil
				}
				checkNodes(t, keep, r.weights(), math.MaxInt)
				c, _ := keep.Node("c")
				if batch == 1 {
					first = dense(c)
				} else if !slices.Equal(dense(c)[:len(first)], first) {
					t.Errorf("%v: a batch gives another result than an image", wt)
				}
				p := compile(t, m, w, o)
				run(t, p)
				if !slices.Equal(dense(p.Output()), dense(keep.Output())) {
					t.Errorf("%v: another result where memory is reused", wt)
				}
				checkAllocs(t, p)
			}
			weights := map[string]int64{"b": 70*12*10*16*4 + 70*4, "c": 70*40*4 + 40*4}
			off := 0.0
			switch wt {
			case kernels.Float16Weights:
				weights, off = map[string]int64{"b": 70*12*10*16*2 + 70*8, "c": 70*40*2 + 40*8}, 2e-4
			case kernels.Int8Weights:
				weights, off = map[string]int64{"b": 70*12*10*16 + 70*8, "c": 70*40 + 40*8}, 8e-3
			}
			p := compile(t, m, w, graph.Options{Set: set, Batch: 3, WeightsType: wt})
			for _, s := range p.Steps() {
				if !slices.Contains(low, s.Name) {
					if s.WeightsType != kernels.Float32Weights || s.WeightsError != 0 {
						t.Errorf("%s has weights of type %v, off by %g", s.Name, s.WeightsType, s.WeightsError)
					}
					continue
				}
				if s.WeightsType != wt || s.Cost.Weights != weights[s.Name] {
					t.Errorf("%s has %d bytes of weights of type %v, want %d of %v", s.Name, s.Cost.Weights, s.WeightsType, weights[s.Name], wt)
				}
				if s.WeightsError < off/2 || s.WeightsError > off*2 {
					t.Errorf("%s: weights of type %v are off by %g, want about %g", s.Name, wt, s.WeightsError, off)
				}
			}
		}
	})
	_, err := graph.Compile(m, w, graph.Options{WeightsType: 9})
	if want := fmt.Sprintf("graph: %s: unknown type of weights WeightsType(9)", m.Name); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
