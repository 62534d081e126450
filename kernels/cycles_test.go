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
		return Problem{ConvShape: ConvShape{In: in, Out: out, KH: k, KW: k, Stride: stride, Pad: Pad(pad), Groups: groups}, H: size, W: size}
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

// TestQuantizedCycles does the same for quantized values: on sets with 8 lanes, whose direct algorithm
// takes pairs of inputs, and with 16, where it takes four.
func TestQuantizedCycles(t *testing.T) {
	winograd := [6]QTransforms{3: {Outputs: 4}, 4: {Outputs: 3}}
	pairs := &Set{U8: &U8{Lanes: 8, Input: 16, Widen: func(*int16, *uint8, int) {}, Winograd: winograd}}
	pairs.U8.Conv.Group, pairs.U8.BatchMatMul.Group = 2, 2
	fours := &Set{U8: &U8{Lanes: 16, Input: 16, Winograd: winograd}}
	fours.U8.Conv.Group, fours.U8.BatchMatMul.Group = 4, 2
	const none = -1
	for _, c := range []struct {
		what                                  string
		in, out, k, stride, pad, groups, size int
		set                                   *Set
		direct, winograd                      int // cycles
	}{
		// 169 pixels · (288 pairs · 12 vectors / 2 + 4 for each vector of outputs). 16 tiles · (36 elements · (32+1) pairs · 12 vectors / 2
		// + 90 for each of 4 vectors of inputs + 110 for each of 12 of outputs).
		{"3×3", 64, 96, 3, 1, 1, 1, 13, pairs, 169 * (288*6 + 12*4), 16 * (36*33*6 + 90*4 + 110*12)},
		// Vectors of 64 bytes take a cycle each.
		{"3×3, fours", 64, 96, 3, 1, 1, 1, 13, fours, 169 * (144*6 + 6*4), 16 * (36*33*6 + 90*4 + 110*6)},
		// One tile: 36·128·64 weights of 2 bytes come from beyond the cache, 6 bytes a cycle.
		{"3×3, one tile", 64, 128, 3, 1, 1, 1, 4, fours, 16 * (144*8 + 8*4), 36*64*128*2/6 + 90*4 + 110*8},
		// 111×111 outputs in 37×37 tiles; 12 channels of the phases are 6 pairs. A row of 21 inputs is 11
		// pairs, or 6 fours.
		{"7×7/2", 3, 96, 7, 2, 0, 1, 227, pairs, 111 * 111 * (77*6 + 12*4), 37 * 37 * (36*7*6 + 90 + 110*12)},
		{"7×7/2, fours", 3, 96, 7, 2, 0, 1, 227, fours, 111 * 111 * (42*6 + 6*4), 37 * 37 * (36*7*6 + 90 + 110*6)},
		// 7×7 tiles; four subkernels of 3×3 taps.
		{"5×5", 64, 192, 5, 1, 2, 1, 27, pairs, 729 * (800*12 + 24*4), 49 * (36*129*12 + 90*16 + 110*24)},
		{"5×5, fours", 64, 192, 5, 1, 2, 1, 27, fours, 729 * (400*12 + 12*4), 49 * (36*129*12 + 90*16 + 110*12)},
		{"5×5, two groups", 96, 256, 5, 1, 2, 2, 27, pairs, 729 * (600*16 + 32*4), 49 * (36*97*16 + 90*24 + 110*32)},
		{"5×5, one tile", 16, 1024, 5, 1, 2, 1, 4, pairs, 16 * (200*64 + 128*4), 36*4*16*1024*2/6 + 90*4 + 110*128},
		// 10×10 tiles of 3×3 outputs; four subkernels of 4×4 taps.
		{"7×7", 64, 64, 7, 1, 3, 1, 28, pairs, 784 * (1568*4 + 8*4), 100 * (36*129*4 + 90*16 + 110*8)},
		{"2×2", 16, 16, 2, 1, 0, 1, 21, fours, 400 * (16 + 4), none},
	} {
		p := Problem{ConvShape: ConvShape{In: c.in, Out: c.out, KH: c.k, KW: c.k, Stride: c.stride, Pad: Pad(c.pad), Groups: c.groups}, H: c.size, W: c.size}
		p.Src, p.Dst = Type{Element: Uint8, Scale: 1}, Type{Element: Uint8, Scale: 1}
		if got, ok := qdirect.cycles(c.set, p, 1<<20); !ok || got != c.direct {
			t.Errorf("%s: direct takes %d cycles, %v, want %d", c.what, got, ok, c.direct)
		}
		got, ok := qwinograd.cycles(c.set, p, 1<<20)
		if ok != (c.winograd != none) || ok && got != c.winograd {
			t.Errorf("%s: Winograd's algorithm takes %d cycles, %v, want %d", c.what, got, ok, c.winograd)
		}
	}
}

// TestQuantizedRowCycles does the same for rows of zeros among quantized weights.
func TestQuantizedRowCycles(t *testing.T) {
	gather := func(_, _, _ *uint8, _, _ *int32, _, _, _, _ int) {}
	pairs := &Set{U8: &U8{Lanes: 8, Bytes: 32, Gather: gather}}
	pairs.U8.Conv.Group = 2
	fours := &Set{U8: &U8{Lanes: 16, Bytes: 32, Gather: gather}}
	fours.U8.Conv.Group = 4
	ones := &Set{U8: &U8{Lanes: 1, Bytes: 1, Gather: gather}}
	ones.U8.Conv.Group = 1
	const none = -1
	for _, c := range []struct {
		what                     string
		set                      *Set
		in, out, k, groups, size int
		rowSparsity              float64
		cycles                   int
	}{
		{"dense", pairs, 64, 96, 3, 1, 13, 0, none},
		{"few inputs", pairs, 30, 96, 3, 2, 13, 0.75, none},
		{"no kernel that moves inputs", &Set{U8: &U8{Lanes: 8}}, 64, 96, 3, 1, 13, 0.75, none},
		// 16 of 64 inputs, 8 pairs, for 12 vectors / 2, and 4 for each of 12 vectors. Of a chunk's 16 inputs the first and
		// a quarter of 15 have weights: 16/4.75 chunks, of 2 cycles, for each of 3 spans.
		{"1×1", pairs, 64, 96, 1, 1, 13, 0.75, 169*(8*6+12*4) + 169*16*3*2*100/475},
		{"1×1, fours", fours, 64, 96, 1, 1, 13, 0.75, 169*(4*6+6*4) + 169*16*3*2*100/475},
		{"1×1, one value at a time", ones, 64, 96, 1, 1, 13, 0.75, 169*(16*48+96*4) + 169*16*3*2*16*100/475},
		{"part of a group is a group", fours, 72, 96, 1, 1, 13, 0.75, 169*(5*6+6*4) + 169*18*3*2*100/475},
		// Two groups have two spans each, of 48 outputs.
		{"3×3, two groups", pairs, 64, 96, 3, 2, 13, 0.5, 169*(72*6+12*4) + 169*144*4*2*10/85},
		{"no weights", pairs, 64, 96, 1, 1, 13, 1, 169 * 12 * 4},
		// A quarter of the weights comes from beyond the cache, 6 bytes a cycle.
		{"weights not in the cache", pairs, 4096, 4096, 1, 1, 1, 0.75, 1024*4096/6 + 1024*128*2*100/475},
	} {
		p := Problem{ConvShape: ConvShape{In: c.in, Out: c.out, KH: c.k, KW: c.k, Stride: 1, Pad: Pad(c.k / 2), Groups: c.groups}, H: c.size, W: c.size}
		p.Src, p.Dst = Type{Element: Uint8, Scale: 1}, Type{Element: Uint8, Scale: 1}
		p.Sparsity, p.RowSparsity = c.rowSparsity, c.rowSparsity
		if got, ok := qrows.cycles(c.set, p, 1<<20); ok != (c.cycles != none) || ok && (got < c.cycles-1 || got > c.cycles+1) {
			t.Errorf("%s: %d cycles, %v, want %d", c.what, got, ok, c.cycles)
		}
		p.Src, p.Dst = Type{}, Type{}
		if _, ok := qrows.cycles(c.set, p, 1<<20); ok {
			t.Errorf("%s: computes float32", c.what)
		}
	}
}

// TestSparseCycles does the same for weights of zero, with vectors of eight lanes and up to eight of them.
func TestSparseCycles(t *testing.T) {
	set := &Set{F32: &F32{Lanes: 8, SpMM: Tile[SpMMFunc]{8, make([]SpMMFunc, 8)}}}
	const none = -1
	for _, c := range []struct {
		what                     string
		in, out, k, groups, size int
		sparsity, rowSparsity    float64
		cache                    int
		direct, rows, sparse     int // cycles
	}{
		{"dense", 64, 96, 3, 1, 13, 0, 0, 1 << 20, 169 * 576 * 6, none, none},
		// 169 pixels are 22 vectors in 3 spans: each of a quarter of 64·96 weights takes 22·0.6 + 3·0.65 = 15.15
		// cycles, and each of 169·(64+96) inputs and outputs a quarter of a cycle.
		{"1×1", 64, 96, 1, 1, 13, 0.75, 0, 1 << 20, 169 * 64 * 6, none, 1536*1515/100 + 169*160/4},
		{"1×1, rows of zeros", 64, 96, 1, 1, 13, 0.75, 0.75, 1 << 20, 169 * 64 * 6, 169 * 16 * 6 * 105 / 100, 1536*1515/100 + 169*160/4},
		{"1×1, some rows of zeros", 64, 96, 1, 1, 13, 0.75, 0.5, 1 << 20, 169 * 64 * 6, 169 * 32 * 6 * 105 / 100, 1536*1515/100 + 169*160/4},
		// Each of 9·64 inputs is transposed, half of them for each group, and that takes twice as long in rows.
		{"3×3, two groups", 64, 96, 3, 2, 13, 0.75, 0, 1 << 20, 169 * 288 * 6, none, 6912*1515/100 + 169*(2*576+96)/4},
		// One pixel is one vector, which waits for its own sums, and for each of 96 lists.
		{"dense layer", 64, 96, 1, 1, 1, 0.75, 0, 1 << 20, 64 * 6, none, 1536*27/10 + 96*20 + 160/4},
		// Of these weights, a quarter comes from beyond the cache: in rows 4 bytes each, in lists 5. There is one for each 128 inputs.
		{"weights not in the cache", 4096, 4096, 1, 1, 1, 0.75, 0.75, 1 << 20, (4 << 24) / 6, (4 << 22) / 6 * 105 / 100, (4<<20)*27/10 + 4096*32*20 + (5<<22)/6 + 8192/4},
		// With more vectors, the products hide that lists are read.
		{"as much for 169 pixels", 4096, 4096, 1, 1, 13, 0.75, 0.75, 1 << 20, 169 * 4096 * 256, 169 * 1024 * 256 * 105 / 100, (1<<22)*1515/100 + 169*8192/4},
		{"no weights", 64, 96, 1, 1, 13, 1, 1, 1 << 20, 169 * 64 * 6, 0, 169 * 160 / 4},
	} {
		p := Problem{ConvShape: ConvShape{In: c.in, Out: c.out, KH: c.k, KW: c.k, Stride: 1, Pad: Pad(c.k / 2), Groups: c.groups}, H: c.size, W: c.size}
		p.Sparsity, p.RowSparsity = c.sparsity, c.rowSparsity
		for _, a := range []struct {
			algorithm
			want int
		}{{direct, c.direct}, {rowAlgorithm, c.rows}, {sparse, c.sparse}} {
			got, ok := a.cycles(set, p, c.cache)
			if ok != (a.want != none) || ok && (got < a.want-1 || got > a.want+1) {
				t.Errorf("%s: %s takes %d cycles, %v, want %d", c.what, a.name, got, ok, a.want)
			}
			p := p
			p.Src, p.Dst = Type{Element: Uint8, Scale: 1}, Type{Element: Uint8, Scale: 1}
			if _, ok := a.cycles(set, p, c.cache); ok {
				t.Errorf("%s: %s computes quantized values", c.what, a.name)
			}
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
		cycles     int
		candidates []string
	}{
		{[]algorithm{entry("a", 3, true)}, "a", 3, []string{"a"}},
		{[]algorithm{entry("a", 3, true), entry("b", 2, true)}, "b", 2, []string{"a", "b"}},
		{[]algorithm{entry("a", 3, true), entry("b", 3, true)}, "a", 3, []string{"a", "b"}},
		{[]algorithm{entry("a", 3, true), entry("b", 0, false), entry("c", 1, true)}, "c", 1, []string{"a", "c"}},
		{[]algorithm{entry("a", 0, false), entry("b", 5, true)}, "b", 5, []string{"b"}},
		{[]algorithm{entry("a", 0, false)}, "", 0, nil},
	} {
		algorithms = c.table
		if got := Pick(nil, p); got != c.want {
			t.Errorf("picked %s, want %s", got, c.want)
		}
		if got := Cycles(nil, p); got != c.cycles {
			t.Errorf("%d cycles, want %d", got, c.cycles)
		}
		if got := Candidates(nil, p); !slices.Equal(got, c.candidates) {
			t.Errorf("candidates %q, want %q", got, c.candidates)
		}
	}
}
