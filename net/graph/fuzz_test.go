package graph_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// FuzzNets compiles a random network for every instruction set and algorithm. Every node must be
// what package ref computes, and neither bands nor threads may change a bit.
func FuzzNets(f *testing.F) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		f.Add(seed)
	}
	isas, err := kernels.Supported()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := randomModel(r)
		w := random(t, m)
		defer func() {
			if t.Failed() {
				t.Logf("seed %d: %+v", seed, *m)
			}
		}()
		for _, isa := range isas {
			set, err := kernels.For(isa)
			if err != nil {
				t.Fatal(err)
			}
			for _, algo := range kernels.Algorithms() {
				o := graph.Options{Set: set, Algo: algo, Batch: 1 + r.IntN(3)}
				keep := compileKeep(t, m, w, o, 1)
				checkNodes(t, keep, w, math.MaxInt)
				for _, bands := range []int{2 + r.IntN(5), 100} {
					o.Threads = 1 + r.IntN(3)
					checkReuse(t, keep, w, o, bands)
				}
			}
		}
	})
}

// randomModel returns a network of up to a dozen layers of all kinds, some of them quantized, and some
// more through which values that none of these read reach the result.
func randomModel(r *rand.Rand) *graph.Model {
	g := generator{r: r, unread: map[string]bool{}}
	g.values = []generated{{graph.Input, layer.Shape{H: 4 + r.IntN(60), W: 3 + r.IntN(10), C: 1 + r.IntN(5)}}}
	for want := 2 + r.IntN(10); len(g.nodes) < want; {
		v := g.values[len(g.values)-1]
		if r.IntN(4) == 0 {
			v = g.values[r.IntN(len(g.values))]
		}
		peers := slices.DeleteFunc(slices.Clone(g.values), func(p generated) bool { return p.shape.H != v.shape.H || p.shape.W != v.shape.W })
		peer := peers[r.IntN(len(peers))]
		pool := randomPool(r)
		switch r.IntN(14) {
		case 0, 1, 2, 3:
			g.add(randomConv(r, v.shape.C), v)
		case 4:
			g.add(relu, v)
		case 5:
			g.add(layer.MaxPool{Kernel: pool.Kernel, KernelW: pool.KernelW, Stride: pool.Stride, Pad: pool.Pad, Ceil: pool.Ceil}, v)
		case 6:
			g.add(pool, v)
		case 7:
			g.add(lrn, v)
		case 8:
			g.add(layer.Dropout{}, v)
		case 9:
			g.add(layer.Concat{}, peer, v)
		case 10:
			g.add(layer.Concat{}, v, peer, peers[r.IntN(len(peers))])
		case 11:
			g.add(layer.Add{}, v, peer)
		default:
			if v.isFloat() {
				g.add(layer.Quantize{Type: randomType(r)}, v)
			} else {
				g.add(layer.Dequantize{}, v)
			}
		}
	}
	for _, v := range slices.Clone(g.values) {
		if g.isUnread(v) {
			g.add(layer.Dequantize{}, v)
		}
	}
	for len(g.unread) > 1 {
		// Unread values of one size are concatenated; a value that is the only one of its size
		// goes through a dense layer, which makes it one pixel.
		first := slices.IndexFunc(g.values, g.isUnread)
		peers := slices.DeleteFunc(slices.Clone(g.values), func(v generated) bool {
			s := g.values[first].shape
			return !g.isUnread(v) || v.shape.H != s.H || v.shape.W != s.W
		})
		if len(peers) > 1 {
			g.add(layer.Concat{}, peers...)
		} else {
			g.add(layer.Dense{Out: 9}, peers[0])
		}
	}
	if last := g.values[len(g.values)-1]; !g.isUnread(last) {
		g.add(relu, g.values[slices.IndexFunc(g.values, g.isUnread)])
	}
	return small(g.values[0].shape, g.nodes...)
}

// randomType returns a quantized type for numbers of a magnitude of 1.
func randomType(r *rand.Rand) kernels.Type {
	return kernels.Type{Element: kernels.Uint8, Scale: 0.01 + 0.03*r.Float32(), Zero: int32([]int{0, 255, r.IntN(256)}[r.IntN(3)])}
}

// randomConv returns a convolution for so many input channels, most with the padding
// that keeps the size.
func randomConv(r *rand.Rand, in int) layer.Conv {
	c := layer.Conv{Kernel: []int{1, 1, 2, 3, 3, 3, 4, 5, 7}[r.IntN(9)]}
	switch r.IntN(8) {
	case 0, 1, 2, 3, 4:
		c.Pad = kernels.Pad(c.Kernel / 2)
	case 5:
		c.Pad = kernels.Pad(r.IntN(c.Kernel + 2))
	}
	if r.IntN(8) == 0 {
		c.KernelW = 1 + r.IntN(5)
	}
	if r.IntN(4) == 0 {
		c.Pad = randomSides(r, c.Pad, c.Kernel+1)
	}
	if r.IntN(4) == 0 {
		c.Stride = 1 + r.IntN(4)
	}
	c.Groups = 1
	if in%2 == 0 && r.IntN(4) == 0 {
		c.Groups = 2
	}
	c.Out = c.Groups * (1 + r.IntN(9))
	return c
}

// randomPool returns an average pooling, whose parameters are good for a maximum, too. Most have no
// padding, and some have it on all sides.
func randomPool(r *rand.Rand) layer.AvgPool {
	p := layer.AvgPool{Kernel: 1 + r.IntN(3), Stride: 1 + r.IntN(3), Ceil: r.IntN(2) == 0, ExcludePad: r.IntN(2) == 0}
	if r.IntN(4) == 0 {
		p.KernelW = 1 + r.IntN(4)
	}
	switch r.IntN(8) {
	case 0:
		p.Pad = kernels.Pad(1)
	case 1, 2:
		p.Pad = randomSides(r, p.Pad, 2)
	}
	return p
}

// randomSides returns p with other padding on some of the sides, up to most pixels.
func randomSides(r *rand.Rand, p kernels.Padding, most int) kernels.Padding {
	for _, side := range []*int{&p.Top, &p.Left, &p.Bottom, &p.Right} {
		if r.IntN(2) == 0 {
			*side = r.IntN(most + 1)
		}
	}
	return p
}

// A generator is a random model in the making: its nodes, the values that further nodes may read,
// and those of them that none reads yet.
type generator struct {
	r      *rand.Rand
	nodes  []graph.Node
	values []generated
	unread map[string]bool
}

type generated struct {
	name  string
	shape layer.Shape
}

func (v generated) isFloat() bool { return v.shape.Type == kernels.Type{} }

func (g *generator) isUnread(v generated) bool { return g.unread[v.name] }

// add appends a layer unless it cannot work on its inputs. It gives the result a type if the layer
// has a choice and the inputs are quantized.
func (g *generator) add(l layer.Layer, in ...generated) {
	var shapes []layer.Shape
	var names []string
	if typed, ok := l.(layer.Typed); ok && !slices.ContainsFunc(in, generated.isFloat) {
		l = typed.As(randomType(g.r))
	}
	for _, v := range in {
		shapes, names = append(shapes, v.shape), append(names, v.name)
	}
	out, err := l.OutShape(shapes)
	if err != nil {
		return
	}
	name := fmt.Sprintf("n%d", len(g.nodes))
	g.nodes = append(g.nodes, node(name, l, names...))
	g.values = append(g.values, generated{name, out})
	for _, n := range names {
		delete(g.unread, n)
	}
	g.unread[name] = true
}
