package weights

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"

	"firebench/net/graph"
	"firebench/net/models"
)

func param(node string, dims ...int) graph.Param { return graph.Param{Node: node, Dims: [4]int(dims)} }

// layerOf returns copies of a layer's values.
func layerOf(t *testing.T, w graph.Weights, p graph.Param) (weights, bias []float32) {
	t.Helper()
	l, err := w.Layer(p)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(l.Values), slices.Clone(l.Bias)
}

func TestRandomDependsOnLayerAlone(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	p := param("conv", 64, 100, 3, 3) // several blocks
	want, wantBias := layerOf(t, Random(1), p)

	w := Random(1)
	for threads := 1; threads <= 5; threads += 2 {
		runtime.GOMAXPROCS(threads)
		layerOf(t, w, param("other", threads, 7, 1, 1))
		got, gotBias := layerOf(t, w, p)
		if !slices.Equal(got, want) || !slices.Equal(gotBias, wantBias) {
			t.Errorf("GOMAXPROCS=%d: other values than in the first call", threads)
		}
	}
	for _, other := range []struct {
		seed uint64
		p    graph.Param
	}{
		{2, p},
		{1, param("conw", 64, 100, 3, 3)},
		{1, param("conv", 100, 64, 3, 3)},
		{1, param("conv", 64, 900, 1, 1)},
	} {
		got, gotBias := layerOf(t, Random(other.seed), other.p)
		if same := equalValues(got, want); same > 2 {
			t.Errorf("seed %d, %v: %d of %d weights are those of seed 1, %v", other.seed, other.p, same, len(got), p)
		}
		if same := equalValues(gotBias, wantBias); same > 2 {
			t.Errorf("seed %d, %v: %d of %d biases are those of seed 1, %v", other.seed, other.p, same, len(gotBias), p)
		}
	}
}

// equalValues counts the positions at which a and b, up to scale, are the same.
func equalValues(a, b []float32) int {
	n := 0
	for i := range min(len(a), len(b)) {
		if a[i]/a[0] == b[i]/b[0] {
			n++
		}
	}
	return n
}

// TestRandomIsNormal checks moments to five standard errors, and that blocks,
// which have streams of their own, are not correlated.
func TestRandomIsNormal(t *testing.T) {
	for _, p := range []graph.Param{
		param("conv1", 96, 3, 7, 7),
		param("fc6", 512, 256, 6, 6),
		param("wide", 1<<18, 1, 1, 1),
	} {
		weights, bias := layerOf(t, Random(7), p)
		fanIn := len(weights) / p.Dims[0]
		for _, s := range []struct {
			what   string
			values []float32
			dev    float64
		}{
			{"weights", weights, math.Sqrt(2 / float64(fanIn))},
			{"biases", bias, biasDev},
		} {
			n := float64(len(s.values))
			var m1, m2, m4, lag float64
			const block = 1 << 14
			for i, v := range s.values {
				x := float64(v) / s.dev
				m1 += x / n
				m2 += x * x / n
				m4 += x * x * x * x / n
				if i >= block {
					lag += x * float64(s.values[i-block]) / s.dev / n
				}
			}
			for _, m := range []struct {
				name           string
				got, want, dev float64 // dev: of one sample, for the normal distribution
			}{
				{"mean", m1, 0, 1},
				{"variance", m2, 1, math.Sqrt(2)},
				{"fourth moment", m4, 3, math.Sqrt(96)},
				{"correlation of blocks", lag, 0, 1},
			} {
				if bound := 5 * m.dev / math.Sqrt(n); math.Abs(m.got-m.want) > bound {
					t.Errorf("%v: %s of the %s is %.4f, want %v ± %.4f", p, m.name, s.what, m.got, m.want, bound)
				}
			}
		}
	}
}

// TestRandomMemory checks that the values of a model with one huge layer never
// take more room than that layer, and that they do not keep it.
func TestRandomMemory(t *testing.T) {
	w := &random{}
	huge := param("fc6", 4096, 1024, 1, 1)
	layerOf(t, w, huge)
	first := &w.weights[0]
	layerOf(t, w, param("fc7", 4096, 600, 1, 1))
	if &w.weights[0] != first {
		t.Error("the next large layer has new memory")
	}
	layerOf(t, w, param("fc8", 1000, 1024, 1, 1))
	if got, want := cap(w.weights), 1000*1024; got != want {
		t.Errorf("room for %d values is kept after a layer of %d", got, want)
	}
}

func TestRandomRefuses(t *testing.T) {
	for _, p := range []graph.Param{param("none", 0, 1, 1, 1), param("none", 1, 0, 1, 1), {}} {
		if _, err := Random(1).Layer(p); err == nil {
			t.Errorf("%v: no error", p)
		}
	}
}

func BenchmarkRandom(b *testing.B) {
	for _, name := range []string{"squeezenet1.0", "alexnet"} {
		b.Run(fmt.Sprintf("net=%s", name), func(b *testing.B) {
			m, err := models.Lookup(name)
			if err != nil {
				b.Fatal(err)
			}
			params, err := m.Params()
			if err != nil {
				b.Fatal(err)
			}
			w := Random(1)
			for b.Loop() {
				n := 0
				for _, p := range params {
					l, err := w.Layer(p)
					if err != nil {
						b.Fatal(err)
					}
					n += 4 * (len(l.Values) + len(l.Bias))
				}
				b.SetBytes(int64(n))
			}
		})
	}
}
