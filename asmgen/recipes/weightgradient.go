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

const weightGradientSignature = "func(dst, start, src, grad, prefetch *float32, tiles, startTile, images, rows, cols, srcImage, srcRow, srcPixel, prefetchStep int)"

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
		fmt.Sprintf("Meanwhile it prefetches four vectors for each %d pixels, moving on by prefetchStep, where vectors are not narrow.", t.pixelsPerRound()))
	srcPixel := distance(t, f, "srcPixel")
	var prefetch, prefetchStep vec.R
	if prefetchesTiles(t) {
		prefetch, prefetchStep = t.Arg("prefetch"), distance(t, f, "prefetchStep")
	}
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
		if prefetchesTiles(t) {
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
				t.Steps("k", "For each pixel, a step of the sums", t.Arg("cols"), t.pixelsPerRound(), func(n int) {
					f.OuterBeside(t.sum, input, srcPixel, t.weights, n)
					if prefetch != nil && n > 1 {
						for i := 0; i < 4*t.Size(); i += cacheLine {
							t.PrefetchLater(prefetch, i)
						}
						t.AddTo(prefetch, prefetchStep)
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

// pixelsPerRound is how many pixels a round of the inner loop takes: the widest vectors have fewer rounds than what is read next has
// pixels.
func (t *sums) pixelsPerRound() int {
	if t.Size() > cacheLine/2 {
		return 2
	}
	return 4
}
