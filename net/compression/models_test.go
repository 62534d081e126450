package compression

import (
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
)

// digests are those of the logits of all models, quantized, for two images of noise. Every
// instruction set has them.
var digests = map[string][2]uint64{
	"squeezenet1.0":         {0xc1192de437b794c6, 0xfc11d211a16815e6},
	"squeezenet1.0-simple":  {0x839626d9cc6454b3, 0x3043fac77a81af38},
	"squeezenet1.0-complex": {0x3ab8b1d0512a1ce2, 0x8faf95daf6f1e2f7},
	"squeezenet1.1":         {0x8f0a319873087440, 0x023abbe2ee7a8bdb},
	"alexnet":               {0x61955665394465a6, 0x7af900dfecb49267},
	"alexnet-owt":           {0x8b5d212340e60403, 0x0155c86aeeac7d78},
}

// coarse makes a calibration independent of the rounding of the float32 network that it was made with:
// scales become a power of two, times 1.2, and zero points multiples of 32.
func coarse(c *Calibration) *Calibration {
	for i, v := range c.Values {
		_, exponent := math.Frexp(float64(v.Scale) * 0.9)
		c.Values[i].Scale = float32(math.Ldexp(1.2, exponent-1))
		c.Values[i].Zero = min((v.Zero+16)/32*32, 255)
	}
	return c
}

// TestModels quantizes all models. All instruction sets, algorithms, numbers of threads and batches
// must give the same bits, and no run may allocate.
func TestModels(t *testing.T) {
	for _, m := range models.All() {
		t.Run("net="+m.Name, func(t *testing.T) {
			m.Input.H, m.Input.W = 87, 75 // large enough for tiles of Winograd's algorithm in every layer
			for i, n := range m.Nodes {
				if _, ok := n.Layer.(layer.Dense); ok {
					m.Nodes[i].Layer = layer.Dense{Out: 200} // thousands only take time
				}
			}
			w := random(t, m)
			q, qw := quantizeModel(t, coarse(calibrate(t, m, w)), Options{}, m, w)
			images := []kernels.View{noise(m.Input, 2), noise(m.Input, 3)}
			kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
				kerneltest.SkipSlow(t, set)
				for _, algo := range kernels.Algorithms() {
					for _, o := range []graph.Options{
						{Set: set, Algo: algo, Threads: 1, KeepAll: true},
						{Set: set, Algo: algo, Threads: 2},
						{Set: set, Algo: algo, Threads: 2, Batch: 2},
					} {
						p := compile(t, q, qw, o)
						in := p.Input()
						for n := range in.N {
							if err := kernels.Copy(in.Image(n), images[n]); err != nil {
								t.Fatal(err)
							}
						}
						if set.ISA != kernels.Scalar { // which runs the same plan code, slowly
							checkAllocs(t, p)
						} else if err := p.Run(); err != nil {
							t.Fatal(err)
						}
						logits := slices.Clone(kernels.Pixel[float32](p.Logits(), 0, 0, 0))
						if slices.Sort(logits); len(slices.Compact(logits)) < 20 {
							t.Errorf("%v are all logits", slices.Compact(logits))
						}
						for n := range in.N {
							if got, want := digest(p.Logits(), n), digests[m.Name][n]; got != want {
								t.Errorf("%s, %d threads, batch %d, KeepAll %v: the logits of image %d have the digest %#x, want %#x", algo, o.Threads, in.N, o.KeepAll, n, got, want)
							}
						}
						if o.KeepAll {
							checkTypes(t, p)
						}
						p.Close()
					}
				}
			})
		})
	}
}

// checkAllocs runs p and reports an error if the second run allocates. It tries several times, as the
// runtime sometimes allocates for itself.
func checkAllocs(t *testing.T, p *graph.Plan) {
	t.Helper()
	n := 1.0
	for tries := 0; n != 0 && tries < 5; tries++ {
		n = testing.AllocsPerRun(1, func() {
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if n != 0 {
		t.Errorf("%v allocations a run with %d threads, want 0", n, p.Threads())
	}
}

// checkTypes checks that p, which was compiled with KeepAll, has the value of every node, in the
// node's type.
func checkTypes(t *testing.T, p *graph.Plan) {
	t.Helper()
	infos, err := p.Model().Infer()
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range infos {
		if v, ok := p.Node(n.Name); !ok || v.Type != n.Out.Type {
			t.Errorf("node %s: a value of %v: %v, want %v", n.Name, v.Type, ok, n.Out.Type)
		}
	}
}

// TestMemory: the activations of squeezenet1.0, and the weights of alexnet, are small.
func TestMemory(t *testing.T) {
	best, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernels.For(best)
	if err != nil {
		t.Fatal(err)
	}
	plan := func(name, algo string) *graph.Plan {
		m := lookup(t, name)
		q, qw := quantizeModel(t, uniform(t, m), Options{}, m, random(t, m))
		return compile(t, q, qw, graph.Options{Set: set, Algo: algo, Threads: 1})
	}
	for _, algo := range append(kernels.Algorithms(), kernels.Auto) {
		if got := plan("squeezenet1.0", algo).ArenaBytes(); got > 2_200_000 {
			t.Errorf("%v, %s: the arena of squeezenet1.0 has %d bytes, want at most 2.2 MB", best, algo, got)
		}
	}
	if testing.Short() {
		return // the other network is large
	}
	// Weights have a byte on every set. Biases, scales, and what tiles and groups fill up take little more.
	const weights = 60_954_656
	if got := plan("alexnet", "direct").WeightBytes(); got < weights || got > weights*101/100 {
		t.Errorf("%v: the weights of alexnet have %d bytes, want %d, and 1 %% more", best, got, weights)
	}
}

// uniform returns a calibration of m in which all values have one type.
func uniform(t *testing.T, m *graph.Model) *Calibration {
	t.Helper()
	values, err := valuesOf(m)
	if err != nil {
		t.Fatal(err)
	}
	c := &Calibration{Model: m.Name, Method: MinMax, Images: 1}
	for _, v := range values {
		c.Values = append(c.Values, Value{v.name, 0.5, 100})
	}
	return c
}
