package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// Conv is the convolution tile, the kernel behind direct convolutions of every size
// and dense layers: functions Conv1xN to ConvMxN for a tile of M×N.
var Conv = Recipe{"conv", convSignature, func(m vec.Machine, _ vec.Element, t Tile) []string {
	f := m.Float32()
	return heights("Conv", m, f, f, t, func(t *sums, name string) { conv(t, f, name) })
}}

const convSignature = "func(dst, src, weights, bias, prefetch *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles, prefetchStep int, lower float32)"

func conv(t *sums, f vec.Float32, name string) {
	t.Func(name, convSignature,
		append([]string{
			fmt.Sprintf("%s computes tiles × %d output pixels × %d channels; it equals", name, t.rows, t.cols),
			"",
			"	for t := range tiles {",
			fmt.Sprintf("		for m := range %d {", t.rows),
			fmt.Sprintf("			for n := range %d {", t.cols),
			"				acc, k := bias[n], 0",
			"				for r := range runs {",
			"					for j := range runLen {",
			fmt.Sprintf("						acc = fma(src[(t*%d+m)*srcStride+offsets[r]+j], weights[k*%d+n], acc)", t.rows, t.cols),
			"						k++",
			"					}",
			"				}",
			fmt.Sprintf("				dst[(t*%d+m)*dstStride+n] = max(acc, lower)", t.rows),
			"			}",
			"		}",
			"	}"}, prefetchDoc(t.rows)...)...)
	t.convolve(f, "runLen", func() { t.storeSums(f) })
}

// storeSums stores the outputs of a tile.
func (t *sums) storeSums(f vec.Float32) {
	t.Comment("The sums, at least lower, are the outputs")
	lower := f.SplatArg("lower")
	dst, dstStride := t.Arg("dst"), distance(t, f, "dstStride")
	for _, row := range t.sum {
		for v := range row {
			f.MaxWith(row[v], lower)
			t.Store(row[v], dst, v)
		}
		t.AddTo(dst, dstStride)
	}
	t.SetArg("dst", dst)
}

// convolve emits the body of a convolution's function, whose inputs come in runs. Its arguments
// count values of the type unit, and steps is the one that says how many steps of the sums a run
// has. store stores the outputs of a tile and moves dst behind them.
func (t *sums) convolve(unit vec.Elements, steps string, store func()) {
	t.eachTile(unit, prefetchesTiles(t), func() {
		offsets := t.Arg("offsets")
		t.Loop("run", "For each run of inputs, such as a row of the kernel window", t.Arg("runs"), func() {
			src := t.Arg("src")
			offset := vec.Named(t, "offset", t.LoadInt(offsets))
			t.SkipInts(offsets, 1)
			t.inputs.Start(vec.Named(t, "run", unit.Address(src, offset)))
			t.addProducts(t.Arg(steps))
		})
	}, store)
}

// eachTile emits the body of a convolution's function. add adds the products of a tile to its sums,
// and store stores them and moves dst behind them. With prefetch, a tile asks for what the next one
// reads and writes.
func (t *sums) eachTile(unit vec.Elements, prefetch bool, add, store func()) {
	t.begin(unit)
	t.LoopArg("tile", fmt.Sprintf("For each tile of %d×%d, pixels by channels", t.rows, t.cols), "tiles", func() {
		bias := t.Arg("bias")
		var first []vec.V
		t.start("The sums start at the bias", func(i int) (row []vec.V) {
			if i == 0 {
				for v := range t.perRow() {
					first = append(first, t.Load(bias, v))
				}
				return first
			}
			for _, v := range first {
				row = append(row, t.Copy(v))
			}
			return row
		})
		if t.rows > nearRows && prefetch {
			t.Comment("Stores wait for their cache lines, one after the other: prefetch the next tile's")
			dst, dstStride := t.Arg("dst"), distance(t, unit, "dstStride")
			t.AddMulTo(dst, dstStride, t.rows)
			for range t.rows {
				for i := 0; i < t.cols*unit.Element().Size; i += cacheLine {
					t.Prefetch(dst, i)
				}
				t.AddTo(dst, dstStride)
			}
			t.nextInputs = vec.Named(t, "next inputs", t.Arg("src"))
			t.AddMulTo(t.nextInputs, t.stride, t.rows)
		}
		t.weights = t.Arg("weights")
		add()
		store()
		src := t.Arg("src")
		t.AddMulTo(src, t.stride, t.rows)
		t.SetArg("src", src)
	})
	t.Return()
}
