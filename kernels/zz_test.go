package kernels

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"firebench/kernels/workers"
)

func best(f func()) float64 {
	b := 1e18
	end := time.Now().Add(60 * time.Millisecond)
	for i := 0; i < 20 || time.Now().Before(end); i++ {
		s := time.Now()
		f()
		b = min(b, float64(time.Since(s).Nanoseconds()))
	}
	return b
}

func TestZZTransforms(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	for _, set := range []*Set{&avx2Set, &avx512Set} {
		// clock: fmas
		n := 10000
		ns := best(func() { set.F32.FMAPeak(n) })
		fmt.Printf("%v: FMA round %v ns per 12 vector FMAs\n", set.ISA, ns/float64(n))
		u := set.U8
		const tiles = 14
		for _, r := range []int{3, 4} {
			k := u.Winograd[r]
			ch := 16
			in := Alloc[int16](36 * 4096)
			src := Alloc[uint8](8 * 64 * 64)
			mat := oddLines[int16](tiles * ch)
			ns = best(func() {
				for range 10 {
					k.Input(&in[0], &src[0], tiles, ch, 60*ch, ch, k.Outputs*ch, mat, ch)
				}
			})
			fmt.Printf("  r=%d input  %6.1f cycles per 16 channels\n", r, ns/10/tiles*3.7)
			for _, tt := range []int{2, 14, 40} {
				w := u.BatchMatMul.Wide.Width
				prod := Alloc[int32](36 * 4096)
				dst := Alloc[uint8](8 * 256 * 64 * 4)
				b, s := Alloc[int32](64), Alloc[float32](64)
				pm := oddLines[int32](tt * w)
				ns = best(func() {
					for range 10 {
						k.Output(&dst[0], &prod[0], &b[0], &s[0], tt, w, pm, w, 60*128, 128, k.Outputs*128, -128, 127, 128)
					}
				})
				fmt.Printf("  r=%d tiles %d output %6.1f cycles per %d channels\n", r, tt, ns/10/float64(tt)*3.7/float64(w/u.Lanes), u.Lanes)
			}
		}
		fk := set.F32.Winograd[3]
		w := set.F32.BatchMatMul.Wide.Width
		for _, tt := range []int{2, 14} {
			prod := Alloc[float32](36 * 4096)
			dst := Alloc[float32](8 * 256 * 64 * 4)
			b := Alloc[float32](64)
			pm := oddLines[float32](tt * w)
			ns = best(func() {
				for range 10 {
					fk.Output(&dst[0], &prod[0], &b[0], tt, w, pm, w, 60*128, 128, 4*128, 0)
				}
			})
			fmt.Printf("  float tiles %d output %6.1f cycles per %d channels\n", tt, ns/10/float64(tt)*3.7/float64(w/set.F32.Lanes), set.F32.Lanes)
		}
	}
}

func TestZZLayers(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		t.Skip()
	}
	type l struct {
		name                    string
		in, out, k, s, pad, h, g int
	}
	for _, set := range []*Set{&avx2Set, &avx512Set, &avx512VNNISet} {
		fmt.Println(set.ISA)
		for _, c := range []l{
			{"v1.0 conv1", 3, 96, 7, 2, 0, 227, 1},
			{"fire2", 16, 64, 3, 1, 1, 55, 1}, {"fire4", 32, 128, 3, 1, 1, 55, 1}, {"v1.0 fire5", 32, 128, 3, 1, 1, 27, 1},
			{"fire6", 48, 192, 3, 1, 1, 27, 1}, {"fire8", 64, 256, 3, 1, 1, 27, 1}, {"fire9", 64, 256, 3, 1, 1, 13, 1},
			{"v1.1 fire6", 48, 192, 3, 1, 1, 13, 1},
			{"alex conv1", 3, 64, 11, 4, 2, 224, 1}, {"alex conv3", 192, 384, 3, 1, 1, 13, 1}, {"alex conv4", 384, 256, 3, 1, 1, 13, 1}, {"alex conv5", 256, 256, 3, 1, 1, 13, 1},
		} {
			p := Problem{ConvShape: ConvShape{In: c.in, Out: c.out, KH: c.k, KW: c.k, Stride: c.s, Pad: c.pad, Groups: c.g}, H: c.h, W: c.h, ReLU: true}
			q := p
			q.Src, q.Dst = Type{Element: Uint8, Scale: 1}, Type{Element: Uint8, Scale: 100}
			oh, ow := p.OutSize(p.H, p.W)
			line := fmt.Sprintf("%-12s", c.name)
			pool := workers.NewPool(1)
			var base float64
			for _, x := range []struct {
				what, algo string
				p          Problem
			}{{"f32 winograd", "winograd", p}, {"u8 direct", "direct", q}, {"u8 winograd", "winograd", q}} {
				w := make([]float32, p.Weights())
				for i := range w {
					w[i] = float32(i%5) - 2
				}
				op, err := NewConv(set, x.algo, x.p, Weights{Values: w})
				if err != nil {
					t.Fatal(err)
				}
				src, dst := NewView(x.p.Src, 1, p.H, p.W, p.In, p.Pad), NewView(x.p.Dst, 1, oh, ow, p.Out, 0)
				task, err := op.Bind(dst, src, 1)
				if err != nil {
					t.Fatal(err)
				}
				ns := best(func() { pool.Run(context.Background(), task) })
				if base == 0 {
					base = ns
				}
				line += fmt.Sprintf("  %s(%s) %7.1f µs (%.2fx)", x.what, op.Algorithm(), ns/1e3, base/ns)
				if x.algo == "winograd" {
					if wt, ok := task.(*winogradTask[uint8, int16, int32]); ok {
						buf := wt.buffers(0)
						parts, in, mul, out := 1.0, 1e18, 1e18, 1e18
						best(func() {
							var ti, tm, to time.Duration
							for c := range wt.rowParts {
								first, last := c*wt.rows/wt.rowParts, (c+1)*wt.rows/wt.rowParts
								s := time.Now()
								wt.transformInput(&buf, 0, first, last)
								ti += time.Since(s)
								for i := range wt.blocks {
									s = time.Now()
									wt.multiply(&buf, &wt.blocks[i], (last-first)*wt.cols)
									tm += time.Since(s)
									s = time.Now()
									wt.transformOutput(&buf, &wt.blocks[i], 0, first, last)
									to += time.Since(s)
								}
							}
							in, mul, out = min(in, float64(ti)), min(mul, float64(tm)), min(out, float64(to))
						})
						line += fmt.Sprintf(" parts %d", wt.rowParts)
						line += fmt.Sprintf(" in %.1f mul %.1f (%.0f%% of 2/cycle) out %.1f", in*parts/1e3, mul*parts/1e3,
							100*float64(op.Executed())/float64(2*set.U8.Lanes*2)/(mul*parts*3.7), out*parts/1e3)
					}
				}
			}
			pool.Close()
			fmt.Println(line, Pick(set, q))
		}
	}
}
