package kernels_test

import (
	"fmt"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// A partialOp is an operation whose output can be computed in parts, each some of its rows:
// output row y needs the source rows from y·stride-pad.Top to y·stride-pad.Top+kernel-1.
type partialOp struct {
	name           string
	kernel, stride int
	pad            kernels.Padding
	align          int // Conv's RowAlign; 1 for other operations
	out            tensor
	srcs           []tensor
	bind           func(dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error)
}

// keepsShape reports whether the sources must have exactly as many rows as the output.
func (op partialOp) keepsShape() bool {
	return op.kernel == 1 && op.stride == 1 && op.pad == kernels.Padding{}
}

// partialOps returns every operation that can be computed in parts.
func partialOps(t testing.TB, set *kernels.Set) []partialOp {
	var ops []partialOp
	const n, h, w, channels = 2, 29, 13, 19
	for _, s := range append([]kernels.ConvShape{
		{KH: 1, KW: 1, Stride: 1, Groups: 1},
		{KH: 1, KW: 1, Stride: 2, Groups: 1},
		{KH: 3, KW: 3, Stride: 2, Pad: kernels.Pad(1), Groups: 1},
		{KH: 3, KW: 5, Stride: 1, Pad: kernels.Pad(1), Groups: 1},
		{KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(3), Groups: 1},
		{KH: 1, KW: 3, Stride: 1, Pad: kernels.Padding{Left: 1, Bottom: 1, Right: 2}, Groups: 1},
		{KH: 4, KW: 3, Stride: 2, Pad: kernels.Padding{Top: 2, Left: 1, Bottom: 1}, Groups: 1},
	}, winogradShapes...) {
		c := winogradCase(s, 3, 9, 14, 13, 1)
		c.n, c.relu = n, true
		weights := prune(c.ConvShape, c.data().weights, "rows", 0.5) // so that all algorithms are candidates
		p := c.problem()
		p.Sparsity, p.RowSparsity = 0.5, 0.5
		for _, algo := range kernels.Candidates(set, p) {
			op, err := pack(set, algo, c.ConvShape, c.h, c.w, weights, c.data().bias, true)
			if err != nil {
				t.Fatal(err)
			}
			ops = append(ops, partialOp{
				fmt.Sprintf("%v=%v", algo, c), c.KH, c.Stride, c.Pad, op.RowAlign(),
				c.output(), []tensor{c.data().src.in(layout{halo: c.Pad.Max()})},
				func(dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
					return op.Bind(dst, srcs[0], threads)
				},
			})
		}
	}
	for _, s := range []kernels.PoolShape{
		{KH: 3, KW: 3, Stride: 2},
		{KH: 3, KW: 3, Stride: 2, Ceil: true},
		{KH: 2, KW: 2, Stride: 2, Ceil: true},
		{KH: 3, KW: 3, Stride: 1},
		{KH: 4, KW: 2, Stride: 3, Ceil: true},
		{KH: 4, KW: 3, Stride: 2, Pad: kernels.Padding{Left: 1, Bottom: 3, Right: 2}},
		{KH: 3, KW: 2, Stride: 2, Pad: kernels.Padding{Bottom: 1, Right: 1}, Ceil: true, ExcludePad: true},
	} {
		for _, size := range []int{h, h + 1} { // for one of them, Ceil makes the last window reach beyond the image
			src := random(1, n, size, w, channels)
			oh, ow := s.OutSize(size, w)
			out := tensor{n: n, h: oh, w: ow, c: channels}
			ops = append(ops, partialOp{
				fmt.Sprintf("max=%v", poolCase{s, n, size, w, channels}), s.KH, s.Stride, s.Pad, 1, out, []tensor{src},
				func(dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
					return kernels.BindMaxPool(set, s, dst, srcs[0], threads)
				},
			}, partialOp{
				fmt.Sprintf("avg=%v", poolCase{s, n, size, w, channels}), s.KH, s.Stride, s.Pad, 1, out, []tensor{src},
				func(dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
					return kernels.BindAvgPool(set, s, dst, srcs[0], threads)
				},
			})
		}
	}
	a, b := random(1, n, h, w, channels), random(2, n, h, w, channels)
	out := tensor{n: n, h: h, w: w, c: channels}
	for _, e := range elementOps {
		ops = append(ops, partialOp{
			e.name, 1, 1, kernels.Padding{}, 1, out, []tensor{a, b}[:e.srcs],
			func(dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
				return e.bind(set, dst, srcs, threads)
			},
		})
	}
	return append(ops, partialOp{
		"lrn", 1, 1, kernels.Padding{}, 1, out, []tensor{a},
		func(dst kernels.View, srcs []kernels.View, threads int) (workers.Task, error) {
			return kernels.BindLRN(set, alexLRN(5), dst, srcs[0], threads)
		},
	}, partialOp{
		"softmax", 1, 1, kernels.Padding{}, 1, out, []tensor{a},
		func(dst kernels.View, srcs []kernels.View, _ int) (workers.Task, error) {
			return kernels.BindSoftmax(dst, srcs[0])
		},
	})
}

// TestPartialQuantized does for quantized values what TestPartial does for float32, with sources of
// just the rows that each part needs.
func TestPartialQuantized(t *testing.T) {
	const n, h, w, c = 2, 13, 7, 35
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		a, b := quantizedValue(typeA, 1, n, h, w, c), quantizedValue(typeB, 2, n, h, w, c)
		sum := value[uint8]{a.tensor, typeSum, nil}
		for _, s := range []kernels.PoolShape{{KH: 3, KW: 3, Stride: 2}, {KH: 2, KW: 2, Stride: 1}, {KH: 3, KW: 3, Stride: 2, Pad: kernels.Padding{Left: 1, Bottom: 2, Right: 2}}} {
			oh, ow := s.OutSize(h, w)
			out := value[uint8]{tensor{n: n, h: oh, w: ow, c: c}, typeA, nil}
			testParts(t, fmt.Sprintf("max %+v", s), s.KH, s.Stride, out, []value[uint8]{a}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return kernels.BindMaxPool(set, s, dst, srcs[0], 1)
			})
			out.typ = typeSum
			testParts(t, fmt.Sprintf("average %+v", s), s.KH, s.Stride, out, []value[uint8]{a}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
				return kernels.BindAvgPool(set, s, dst, srcs[0], 1)
			})
		}
		testParts(t, "add", 1, 1, sum, []value[uint8]{a, b}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return kernels.BindAdd(set, dst, srcs[0], srcs[1], false, 1)
		})
		testParts(t, "ReLU", 1, 1, value[uint8]{a.tensor, typeA, nil}, []value[uint8]{a}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return kernels.BindReLU(set, dst, srcs[0], 1)
		})
		rows := qrows(conv(h, w, c, 40, 3, 2, 0, 1), typeA.Zero, 0, 0.3)
		p := rows.problem()
		p.Src, p.Dst = typeA, typeSum
		op, err := kernels.NewConv(set, "rows", p, rows.data().weights)
		if err != nil {
			t.Fatal(err)
		}
		out := rows.output()
		out.n = n
		testParts(t, "rows", 3, 2, value[uint8]{out, typeSum, nil}, []value[uint8]{a}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return op.Bind(dst, srcs[0], 2)
		})
		numbers := value[float32]{a.tensor, kernels.Type{}, kerneltest.Random(1, n*h*w*c)}
		testParts(t, "quantize", 1, 1, sum, []value[float32]{numbers}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return kernels.BindQuantize(set, dst, srcs[0], 1)
		})
		testParts(t, "dequantize", 1, 1, numbers, []value[uint8]{a}, func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
			return kernels.BindDequantize(set, dst, srcs[0], 1)
		})
	})
}

// testParts computes an output at once and in parts of some rows, whose windows have height rows. The
// values must be the same, and no part may write anything else.
func testParts[D, S kernels.Number](t *testing.T, what string, height, stride int, dst value[D], srcs []value[S], bind func(dst kernels.View, srcs []kernels.View) (workers.Task, error)) {
	t.Helper()
	compute := func(dst kernels.View, srcs []kernels.View) {
		t.Helper()
		task, err := bind(dst, srcs)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		run(task, 1)
	}
	var in []kernels.View
	for _, src := range srcs {
		v := qview(src.typ, guardedBytes(t, src.size()*src.typ.Element.Size()), 0, src.tensor)
		setPixels(v, src.data, kernels.Padding{})
		in = append(in, v)
	}
	size := dst.typ.Element.Size()
	whole := qview(dst.typ, guardedBytes(t, dst.size()*size), 0, dst.tensor)
	compute(whole, in)
	dst = dst.in(layout{halo: 1, before: 2, after: 1})
	memory := guardedBytes(t, dst.size()*size)
	for _, step := range []int{1, 3} {
		got := qview(dst.typ, memory, 1, dst.tensor)
		for y0 := 0; y0 < dst.h; y0 += step {
			rows := min(step, dst.h-y0)
			first := y0 * stride
			last := min(first+(rows-1)*stride+height, srcs[0].h)
			var parts []kernels.View
			for _, v := range in {
				parts = append(parts, v.Rows(first, last-first))
			}
			compute(got.Rows(y0, rows), parts)
		}
		got.Halo = 0
		checkPixels(t, fmt.Sprintf("%s, %d rows at a time", what, step), got, kernels.Data[D](whole))
	}
}

// parts returns ways to divide the output into parts, each as the list of the rows where its
// parts end. They keep to the rules of RowAlign. The sources of the last part have a whole kernel
// of rows, padding included, and at least one of these rows is the image's.
func (op partialOp) parts() [][]int {
	h := op.srcs[0].h
	last := min(op.out.h-op.align, (h-1)/op.stride, (op.pad.Top+h+op.pad.Bottom-op.kernel)/op.stride)
	even := func(step int) []int {
		var ends []int
		for y := step; y <= last; y += step {
			ends = append(ends, y)
		}
		return append(ends, op.out.h)
	}
	return [][]int{even(op.align), even(3 * op.align), {op.align, op.out.h}, {last / op.align * op.align, op.out.h}}
}

// TestPartial computes every operation at once and in parts. The bits must be the same, whether
// the source of a part goes on to the end of the image, or is just the rows that the part needs,
// while all other rows are NaNs, as if they had yet to be computed. A part must write its own
// rows and nothing else, not even the halo.
func TestPartial(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for _, op := range partialOps(t, set) {
			t.Run(op.name, func(t *testing.T) {
				for i, dst := range []layout{{}, {halo: 1, before: 2, after: 1}} {
					op.out.layout = dst
					op.test(t, 1+i)
				}
			})
		}
	})
}

// test does what TestPartial describes for one operation.
func (op partialOp) test(t *testing.T, threads int) {
	size := op.out.size()
	memory := guarded(t, size)
	var srcs []kernels.View
	for _, src := range op.srcs {
		srcs = append(srcs, src.view(make([]float32, src.size())))
	}
	whole := op.out.view(make([]float32, size))
	task, err := op.bind(whole, srcs, threads)
	if err != nil {
		t.Fatal(err)
	}
	run(task, threads)

	// check computes rows y0 to y1-1 of the images that pick returns. With minimal, its sources
	// have just the rows that it needs.
	side := 0
	check := func(pick func(v kernels.View) kernels.View, y0, y1 int, minimal bool) {
		what := fmt.Sprintf("rows %d to %d, %d threads, minimal source %v", y0, y1-1, threads, minimal)
		dst := op.out.view(memory.slice(side, size))
		side = 1 - side
		dst = pick(dst).Rows(y0, y1-y0)
		var in []kernels.View
		for _, v := range srcs {
			first, last := y0*op.stride, v.H
			if op.keepsShape() {
				last = y1
			} else if minimal {
				last = min(last, max((y1-1)*op.stride-op.pad.Top+op.kernel, first+1))
			}
			if minimal {
				v.Memory = slices.Clone(v.Memory)
				poisonRows(v, first-op.pad.Top, (y1-1)*op.stride-op.pad.Top+op.kernel)
			}
			in = append(in, pick(v).Rows(first, last-first))
		}
		task, err := op.bind(dst, in, threads)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		run(task, threads)
		want := values(pick(whole).Rows(y0, y1-y0))
		if got := values(dst); !sameBits(got, want) {
			t.Errorf("%s: other bits than those of the output computed at once", what)
		}
		dst.Halo = 0
		kerneltest.Unwritten(t, what, dst)
	}
	all := func(v kernels.View) kernels.View { return v }
	for i, ends := range op.parts() {
		y0 := 0
		for _, y1 := range ends {
			check(all, y0, y1, i%2 == 0)
			for n := range op.out.n {
				check(func(v kernels.View) kernels.View { return v.Image(n) }, y0, y1, i%2 == 1)
			}
			y0 = y1
		}
	}
}

// poisonRows fills all rows of a view with NaNs, except for those from first to last-1.
func poisonRows(v kernels.View, first, last int) {
	for n := range v.N {
		for y := -v.Halo; y < v.H+v.Halo; y++ {
			if y < first || y >= last {
				for x := -v.Halo; x < v.W+v.Halo; x++ {
					kerneltest.Poison(kernels.Pixel[float32](v, n, y, x))
				}
			}
		}
	}
}

// sameBits reports whether two slices hold the same bits; all NaNs count as the same.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return x == y && (x != 0 || 1/x == 1/y) || x != x && y != y
	})
}

// TestPartialErrors: a partial destination may have fewer rows than its source gives, but not
// more, and operations that cannot be computed in parts refuse it.
func TestPartialErrors(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	bind := func(k, pad int, dst, src kernels.View) error {
		s := kernels.ConvShape{In: 3, Out: 3, KH: k, KW: k, Stride: 1, Pad: kernels.Pad(pad), Groups: 1}
		op, err := newDirect(set, s, make([]float32, s.Weights()), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		_, err = op.Bind(dst, src, 1)
		return err
	}
	view := kernels.NewView(kernels.Type{}, 1, 9, 9, 3, 1)
	other := kernels.NewView(kernels.Type{}, 1, 9, 9, 3, 1)
	large := kernels.NewView(kernels.Type{}, 1, 11, 11, 3, 0)
	small := kernels.NewView(kernels.Type{}, 1, 7, 7, 3, 0)
	pool := func(pad kernels.Padding, dst, src kernels.View) error {
		_, err := kernels.BindMaxPool(set, kernels.PoolShape{KH: 3, KW: 3, Stride: 1, Pad: pad}, dst, src, 1)
		return err
	}
	add := func(dst, src kernels.View) error {
		_, err := kernels.BindAdd(set, dst, src, src, false, 1)
		return err
	}
	for _, c := range []struct {
		name  string
		err   error
		parts []string
	}{
		{"good", bind(3, 1, view.Rows(2, 4), other.Rows(2, 4)), nil},
		{"more source rows", bind(3, 1, view.Rows(2, 4), other.Rows(2, 7)), nil},
		{"a source of all rows", bind(3, 1, view.Rows(0, 4), other), nil},
		{"fewer source rows", bind(3, 1, view.Rows(2, 4), other.Rows(2, 3)), []string{"convolution", "3×9×3"}},
		{"a destination that is not partial", bind(3, 1, kernels.NewView(kernels.Type{}, 1, 4, 9, 3, 1), other), []string{"convolution", "9×9×3"}},
		{"good border", bind(1, 1, large, view), nil},
		{"part of a border", bind(1, 1, large.Rows(0, 5), view), []string{"convolution", "padding 1", "5 rows", "all 11"}},
		{"good pooling", pool(kernels.Padding{}, small.Rows(2, 4), other.Rows(2, 6)), nil},
		{"pooling, fewer source rows", pool(kernels.Padding{}, small.Rows(2, 4), other.Rows(2, 5)), []string{"pooling", "5×9×3"}},
		{"padded pooling", pool(kernels.Pad(1), view.Rows(2, 4), other.Rows(2, 4)), []string{"pooling", "padding 1"}},
		{"pooling padded above", pool(kernels.Padding{Top: 1, Left: 1, Right: 1}, view.Rows(2, 4), other.Rows(2, 4)), []string{"pooling", "padding 1,1,0,1"}},
		{"pooling padded elsewhere", pool(kernels.Padding{Left: 1, Bottom: 1, Right: 1}, view.Rows(2, 4), other.Rows(2, 5)), nil},
		{"add, more source rows", add(view.Rows(2, 4), other.Rows(2, 5)), []string{"add", "shape"}},
		{"add, fewer source rows", add(view.Rows(2, 4), other.Rows(2, 3)), []string{"add", "shape"}},
	} {
		checkError(t, c.name, c.err, c.parts)
	}
}

// TestPartialSources: the rows around a partial source that its windows reach must be in the
// memory, too.
func TestPartialSources(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		s := kernels.ConvShape{In: 3, Out: 4, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1}
		for _, algo := range kernels.Candidates(set, kernels.Problem{ConvShape: s, H: 8, W: 8, Sparsity: 1, RowSparsity: 1}) {
			op, err := pack(set, algo, s, 8, 8, make([]float32, s.Weights()), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			dst, src := kernels.NewView(kernels.Type{}, 1, 8, 8, 4, 0), kernels.NewView(kernels.Type{}, 1, 8, 8, 3, 1)
			bind := func(dst, src kernels.View) error {
				_, err := op.Bind(dst, src, 1)
				return err
			}
			checkError(t, algo+", all rows", bind(dst.Rows(0, 8), src.Rows(0, 8)), nil)
			below := src
			below.Memory = src.Memory[:len(src.Memory)-4*src.Row] // no last row of the halo
			checkError(t, algo+", no halo below", bind(dst, below), []string{"source", "spans"})
			checkError(t, algo+", no halo below a partial view", bind(dst, below.Rows(0, 8)), []string{"source", "spans"})
			checkError(t, algo+", rows that end before it", bind(dst.Rows(0, 7), below.Rows(0, 7)), nil)
			above := src
			above.Memory, above.Offset = src.Memory[4*src.Row:], src.Offset-src.Row
			checkError(t, algo+", no halo above", bind(dst, above), []string{"source", "spans"})
			checkError(t, algo+", no halo above a partial view", bind(dst, above.Rows(0, 8)), []string{"source", "spans"})
			checkError(t, algo+", rows that begin behind it", bind(dst.Rows(1, 7), above.Rows(1, 7)), nil)

			// With padding on one side alone, the halo on the other side need not be there.
			for _, pad := range []kernels.Padding{{Top: 1}, {Bottom: 1}} {
				s := s
				s.Pad = pad
				op, err = pack(set, algo, s, 8, 8, make([]float32, s.Weights()), nil, false)
				if err != nil {
					t.Fatal(err)
				}
				dst := kernels.NewView(kernels.Type{}, 1, 7, 6, 4, 0)
				missing := []string{"source", "spans"}
				wantBelow, wantAbove := missing, []string(nil)
				if pad.Top > 0 {
					wantBelow, wantAbove = nil, missing
				}
				checkError(t, fmt.Sprintf("%s, padding %v, no halo below", algo, pad), bind(dst.Rows(0, 7), below.Rows(0, 8)), wantBelow)
				checkError(t, fmt.Sprintf("%s, padding %v, no halo above", algo, pad), bind(dst.Rows(0, 7), above.Rows(0, 8)), wantAbove)
			}
		}
	})
}
