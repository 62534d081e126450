package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// F16Conv and S8Conv are the tile of Conv for weights that have fewer bytes than float32, and a factor
// for each channel: functions F16Conv1xN to F16ConvMxN for a tile of M×N, and S8Conv1xN to S8ConvMxN.
var (
	F16Conv = Recipe{"wconv", wconvSignature("uint16"), func(m vec.Machine, e vec.Element, t Tile) []string {
		return wconvs("F16Conv", "float16", "uint16", m, e, t)
	}}
	S8Conv = Recipe{"wconv", wconvSignature("int8"), func(m vec.Machine, e vec.Element, t Tile) []string {
		return wconvs("S8Conv", "float32", "int8", m, e, t)
	}}
)

func wconvSignature(weight string) string {
	return fmt.Sprintf("func(dst, src *float32, weights *%s, bias, scale *float32, offsets *int, runs, runLen, srcStride, dstStride, tiles int, lower float32)", weight)
}

// wconvs emits the heights of a tile. value is the function that makes a float32 value of a weight,
// as the documentation calls it, and weight is a weight's type in Go.
func wconvs(family, value, weight string, m vec.Machine, e vec.Element, t Tile) []string {
	if t.Rows > nearRows {
		panic(fmt.Sprintf("%s of %d×%d: higher tiles do not prefetch their own weights", family, t.Rows, t.Cols))
	}
	f := m.Float32()
	return heights(family, m, m.Dot(vec.F32, e), f, t, func(t *sums, name string) {
		t.Func(name, wconvSignature(weight),
			fmt.Sprintf("%s computes tiles × %d output pixels × %d channels; it equals", name, t.rows, t.cols),
			"",
			"	for t := range tiles {",
			fmt.Sprintf("		for m := range %d {", t.rows),
			fmt.Sprintf("			for n := range %d {", t.cols),
			"				acc, k := float32(0), 0",
			"				for r := range runs {",
			"					for j := range runLen {",
			fmt.Sprintf("						acc = fma(src[(t*%d+m)*srcStride+offsets[r]+j], %s(weights[k*%d+n]), acc)", t.rows, value, t.cols),
			"						k++",
			"					}",
			"				}",
			fmt.Sprintf("				dst[(t*%d+m)*dstStride+n] = max(fma(acc, scale[n], bias[n]), lower)", t.rows),
			"			}",
			"		}",
			"	}",
			"",
			fmt.Sprintf("It prefetches its weights %d bytes ahead.", near))
		t.wconv(f)
		t.Return()
	})
}

func (t *sums) wconv(f vec.Float32) {
	t.begin(f)
	t.LoopArg("tile", fmt.Sprintf("For each tile of %d×%d, pixels by channels", t.rows, t.cols), "tiles", func() {
		t.start("The sums start at zero", func(int) (row []vec.V) {
			for range t.perRow() {
				row = append(row, t.Zero())
			}
			return row
		})
		t.weights = t.Arg("weights")
		offsets := t.Arg("offsets")
		t.Loop("run", "For each run of inputs, such as a row of the kernel window", t.Arg("runs"), func() {
			src := t.Arg("src")
			offset := vec.Named(t, "offset", t.LoadInt(offsets))
			t.SkipInts(offsets, 1)
			t.inputs.Start(vec.Named(t, "run", f.Address(src, offset)))
			t.addProducts(t.Arg("runLen"))
		})
		t.Comment("The sums, scaled and with the bias, are the outputs if they are at least lower")
		lower := f.SplatArg("lower")
		bias, scale := t.Arg("bias"), t.Arg("scale")
		dst, dstStride := t.Arg("dst"), distance(t, f, "dstStride")
		for _, row := range t.sum {
			for v := range row {
				out := t.Load(bias, v)
				f.AddMulTo(out, row[v], t.Load(scale, v))
				f.MaxWith(out, lower)
				t.Store(out, dst, v)
			}
			t.AddTo(dst, dstStride)
		}
		t.SetArg("dst", dst)
		src := t.Arg("src")
		t.AddMulTo(src, t.stride, t.rows)
		t.SetArg("src", src)
	})
}
