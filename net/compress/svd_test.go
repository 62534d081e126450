package compress

import (
	"fmt"
	"testing"
	"time"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

func TestZZ(t *testing.T) {
	best, _ := kernels.Best()
	set, _ := kernels.For(best)
	g := algebra{set, 0}
	a := matrix{4096, 9216, kerneltest.Random(1, 4096*9216)}
	start := time.Now()
	p, err := g.pack(a)
	fmt.Println("pack", time.Since(start), err)
	x := matrix{1088, 9216, a.data[:1088*9216]}
	start = time.Now()
	y, err := g.mul(x.view(x.cols), p)
	fmt.Println("mul", time.Since(start), err)
	start = time.Now()
	g.orthonormalize(y)
	fmt.Println("orth 4096", time.Since(start), err)
	start = time.Now()
	xx := matrix{1088, 9216, append([]float32(nil), x.data...)}
	g.orthonormalize(xx)
	fmt.Println("orth 9216", time.Since(start), err)
	start = time.Now()
	_, err = eigenvectors(xx, 1024)
	fmt.Println("eig", time.Since(start), err)
	start = time.Now()
	d, err := g.decompose(a, 1024)
	fmt.Println("all", time.Since(start), err)
	e := 0.0
	for _, s := range d.s {
		e += s * s
	}
	fmt.Println(e / norm2(a.data), d.s[0], d.s[1023])
}
