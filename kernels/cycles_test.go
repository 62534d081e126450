package kernels

import (
	"slices"
	"testing"
)

// TestCycles compares the estimates with cycles counted by hand, for vectors of eight lanes and
// tiles of 4×4 and 5×5 outputs.
func TestCycles(t *testing.T) {
	set := &Set{F32: &F32{Lanes: 8, Winograd: [6]Transforms{3: {Outputs: 4}, 4: {Outputs: 5}}}}
	conv := func(in, out, k, stride, pad, groups, size int) Problem {
		return Problem{ConvShape: ConvShape{In: in, Out: out, KH: k, KW: k, Stride: stride, Pad: pad, Groups: groups}, H: size, W: size}
	}
	const none = -1
	fire, few := conv(64, 96, 3, 1, 1, 1, 13), conv(64, 96, 3, 1, 1, 1, 4)
	halves := conv(64, 96, 3, 1, 1, 2, 13)
	first := conv(3, 96, 7, 2, 0, 1, 227)
	dense := conv(4096, 4096, 1, 1, 0, 1, 1)
	for _, c := range []struct {
		what             string
		p                Problem
		cache            int
		direct, winograd int // cycles
	}{
		// 169 pixels · 576 products · 12 vectors / 2. 16 tiles · (36 elements · (64+5) products
		// · 12 vectors / 2 + 95 for each of 8 vectors of inputs + 85 for each of 12 of outputs).
		{"3×3", fire, 1 << 20, 169 * 576 * 6, 16 * (36*69*6 + 95*8 + 85*12)},
		// One tile: 36·96·64 weights of 4 bytes are more than half of the cache. They come from
		// beyond it, 6 bytes in a cycle.
		{"3×3, one tile", few, 1 << 20, 16 * 576 * 6, 36*96*64*4/6 + 95*8 + 85*12},
		{"3×3, one tile, weights just in the cache", few, 2 * 36 * 96 * 64 * 4, 16 * 576 * 6, 36*69*6 + 95*8 + 85*12},
		{"3×3, one tile, weights just not in the cache", few, 2*36*96*64*4 - 1, 16 * 576 * 6, 36*96*64*4/6 + 95*8 + 85*12},
		// Each output reads the inputs of its group; the transforms read the inputs of both.
		{"two groups", halves, 1 << 20, 169 * 288 * 6, 16 * (36*37*6 + 95*8 + 85*12)},
		{"two groups, weights just in the cache", halves, 2 * 36 * 96 * 32 * 4, 169 * 288 * 6, 16 * (36*37*6 + 95*8 + 85*12)},
		// 111×111 outputs in 23×23 tiles of 64 elements; 12 channels of the phases in two vectors.
		{"7×7/2", first, 1 << 20, 111 * 111 * 147 * 6, 529*64*17*6 + 529*64*(95*2+85*12)/36},
		{"dense", dense, 2 * 4 << 24, 4096 * 256, none},
		{"dense, weights just not in the cache", dense, 2*4<<24 - 1, (4 << 24) / 6, none},
	} {
		if got, ok := direct.cycles(set, c.p, c.cache); !ok || got != c.direct {
			t.Errorf("%s: direct takes %d cycles, %v, want %d", c.what, got, ok, c.direct)
		}
		got, ok := winogradAlgorithm.cycles(set, c.p, c.cache)
		if ok != (c.winograd != none) || ok && got != c.winograd {
			t.Errorf("%s: Winograd's algorithm takes %d cycles, %v, want %d", c.what, got, ok, c.winograd)
		}
		want := direct.name
		if ok && c.winograd < c.direct {
			want = winogradAlgorithm.name
		}
		if got, ok := pick(set, c.p, c.cache); !ok || got.name != want {
			t.Errorf("%s: picked %s, want %s", c.what, got.name, want)
		}
	}
}

// TestQuantizedCycles does the same for quantized values, for products of pairs of inputs, vectors of eight sums and of
// sixteen transformed inputs.
func TestQuantizedCycles(t *testing.T) {
	u := &U8{Lanes: 8, Input: 16, Winograd: [6]QTransforms{3: {Outputs: 4}, 4: {Outputs: 3}}}
	u.Conv.Group, u.BatchMatMul.Group = 2, 2
	set := &Set{F32: &F32{}, U8: u}
	conv := func(in, out, k, stride, pad, groups, size int) Problem {
		typ := Type{Element: Uint8, Scale: 1}
		return Problem{ConvShape: ConvShape{In: in, Out: out, KH: k, KW: k, Stride: stride, Pad: pad, Groups: groups}, H: size, W: size, Src: typ, Dst: typ}
	}
	for _, c := range []struct {
		what             string
		p                Problem
		direct, winograd int
	}{
		// 16 tiles · (36 elements · (32 pairs + 5) · 12 vectors / 2 and the transforms of 4 vectors of inputs and 12
		// of outputs).
		{"3×3", conv(64, 96, 3, 1, 1, 1, 13), 169 * 288 * 6, 16 * (36*37*6 + 4*qinputCycles + 12*qoutputCycles)},
		// 7×7 tiles; four subkernels of 3×3 taps, each with 64 channels.
		{"5×5", conv(64, 192, 5, 1, 2, 1, 27), 729 * 800 * 12, 49 * (36*(128+5)*12 + 16*qinputCycles + 24*qoutputCycles)},
		{"5×5, two groups", conv(96, 256, 5, 1, 2, 2, 27), 729 * 600 * 16, 49 * (36*(96+5)*16 + 24*qinputCycles + 32*qoutputCycles)},
		// 10×10 tiles of 3×3 outputs; four subkernels of 4×4 taps.
		{"7×7", conv(64, 64, 7, 1, 3, 1, 28), 784 * 1568 * 4, 100 * (36*(128+5)*4 + 16*qinputCycles + 8*qoutputCycles)},
		// One tile: 36·4·16·128 weights of 2 bytes come from beyond the cache.
		{"5×5, one tile", conv(16, 1024, 5, 1, 2, 1, 4), 16 * 200 * 64, 36*4*16*1024*2/6 + 4*qinputCycles + 128*qoutputCycles},
	} {
		if got, ok := qdirect.cycles(set, c.p, 1<<20); !ok || got != c.direct {
			t.Errorf("%s: direct takes %d cycles, %v, want %d", c.what, got, ok, c.direct)
		}
		if got, ok := qwinograd.cycles(set, c.p, 1<<20); !ok || got != c.winograd {
			t.Errorf("%s: Winograd's algorithm takes %d cycles, %v, want %d", c.what, got, ok, c.winograd)
		}
		want := qwinograd.name
		if c.direct <= c.winograd {
			want = qdirect.name
		}
		if got := Pick(set, c.p); got != want {
			t.Errorf("%s: picked %s, want %s", c.what, got, want)
		}
	}
}

// TestPickRule: the algorithm with the least cycles is picked, and among equals the first of the
// table. An algorithm that cannot compute the problem is never picked.
func TestPickRule(t *testing.T) {
	defer func(old []algorithm) { algorithms = old }(algorithms)
	p := Problem{ConvShape: ConvShape{In: 1, Out: 1, KH: 1, KW: 1, Stride: 1, Groups: 1}, H: 1, W: 1}
	entry := func(name string, n int, ok bool) algorithm {
		return algorithm{name: name, cycles: func(*Set, Problem, int) (int, bool) { return n, ok }}
	}
	for _, c := range []struct {
		table      []algorithm
		want       string
		candidates []string
	}{
		{[]algorithm{entry("a", 3, true)}, "a", []string{"a"}},
		{[]algorithm{entry("a", 3, true), entry("b", 2, true)}, "b", []string{"a", "b"}},
		{[]algorithm{entry("a", 3, true), entry("b", 3, true)}, "a", []string{"a", "b"}},
		{[]algorithm{entry("a", 3, true), entry("b", 0, false), entry("c", 1, true)}, "c", []string{"a", "c"}},
		{[]algorithm{entry("a", 0, false), entry("b", 5, true)}, "b", []string{"b"}},
		{[]algorithm{entry("a", 0, false)}, "", nil},
	} {
		algorithms = c.table
		if got := Pick(nil, p); got != c.want {
			t.Errorf("picked %s, want %s", got, c.want)
		}
		if got := Candidates(nil, p); !slices.Equal(got, c.candidates) {
			t.Errorf("candidates %q, want %q", got, c.candidates)
		}
	}
}
