package recipes

import (
	"fmt"

	"firebench/asmgen/vec"
)

// WeightGradient is the tile of the gradient of a convolution's weights, sums over pixels: the inputs of a step, a pixel,
// lie beside each other, and those of the next one elsewhere. Functions WeightGradient1xN to
// WeightGradientMxN for a tile of M×N, inputs by gradients.
var WeightGradient = Recipe{"weightgradient", weightGradientSignature, func(m vec.Machine, _ vec.Element, t Tile) []string {
	f := m.Float32()
	return heights("WeightGradient", m, f, f, t, func(t *sums, name string) { weightGradient(t, f, name) })
}}

const weightGradientSignature = "func(dst, start, src, grad, prefetch *float32, tiles, startTile, images, rows, cols, srcImage, srcRow, srcPixel, prefetchTile, prefetchPixel int)"

func weightGradient(t *sums, f vec.Float32, name string) {
	t.Func(name, weightGradientSignature,
		fmt.Sprintf("%s adds the products of tiles × %d inputs and %d gradients at each pixel to their sums; it equals", name, t.rows, t.cols),
		"",
		"	for t := range tiles {",
		fmt.Sprintf("		for m := range %d {", t.rows),
		fmt.Sprintf("			for n := range %d {", t.cols),
		fmt.Sprintf("				acc := start[t*startTile+m*%d+n]", t.cols),
		"				for i := range images {",
		"					for y := range rows {",
		"						for x := range cols {",
		fmt.Sprintf("							acc = fma(src[i*srcImage+y*srcRow+x*srcPixel+t*%d+m], grad[((i*rows+y)*cols+x)*%d+n], acc)", t.rows, t.cols),
		"						}",
		"					}",
		"				}",
		fmt.Sprintf("				dst[(t*%d+m)*%d+n] = acc", t.rows, t.cols),
		"			}",
		"		}",
		"	}",
		"",
		"Meanwhile it prefetches as much as two vectors have at prefetch, moving on by prefetchPixel with each pixel, and by",
		"prefetchTile from tile to tile, where narrow vectors do not.")
	srcPixel := distance(t, f, "srcPixel")
	t.LoopArg("tile", fmt.Sprintf("For each tile of %d×%d, inputs by gradients", t.rows, t.cols), "tiles", func() {
		start := t.Arg("start")
		t.start("The sums so far", func(i int) (row []vec.V) {
			for v := range t.perRow() {
				row = append(row, t.Load(start, i*t.perRow()+v))
			}
			return row
		})
		t.AddTo(start, distance(t, f, "startTile"))
		t.SetArg("start", start)
		var prefetch, prefetchPixel vec.R
		if prefetchesTiles(t) {
			prefetch = t.Arg("prefetch")
			next := vec.Named(t, "next prefetch", t.CopyInt(prefetch))
			t.AddTo(next, distance(t, f, "prefetchTile"))
			t.SetArg("prefetch", next)
			prefetchPixel = distance(t, f, "prefetchPixel")
			t.Comment("Those of the next tile")
			for i := 0; i < t.rows*t.cols*f.Element().Size; i += cacheLine {
				t.Prefetch(start, i)
			}
		}
		t.weights = t.Arg("grad")
		image := vec.Named(t, "image", t.Arg("src"))
		t.Loop("image", "For each image", t.Arg("images"), func() {
			row := vec.Named(t, "row", t.CopyInt(image))
			t.Loop("row", "For each row of pixels", t.Arg("rows"), func() {
				input := vec.Named(t, "input", t.CopyInt(row))
				t.addSteps(t.Arg("cols"), func(n int) {
					f.OuterBeside(t.sum, input, srcPixel, t.weights, n)
					for range n {
						if prefetch != nil {
							for i := 0; i < 2*t.Size(); i += cacheLine {
								t.Prefetch(prefetch, i)
							}
							t.AddTo(prefetch, prefetchPixel)
						}
					}
				})
				t.AddTo(row, distance(t, f, "srcRow"))
			})
			t.AddTo(image, distance(t, f, "srcImage"))
		})
		dst := t.Arg("dst")
		for i, row := range t.sum {
			for v := range row {
				t.Store(row[v], dst, i*len(row)+v)
			}
		}
		f.Skip(dst, t.rows*t.cols)
		t.SetArg("dst", dst)
		src := t.Arg("src")
		f.Skip(src, t.rows)
		t.SetArg("src", src)
	})
	t.Return()
}
