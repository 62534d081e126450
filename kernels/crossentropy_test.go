package kernels_test

import (
	"fmt"
	"math"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/ref"
	"firebench/kernels/workers"
)

// TestCrossEntropy compares the loss and its gradient with their definitions, for one class, for several, for a
// target that is no distribution, and for logits whose exponentials are no numbers.
func TestCrossEntropy(t *testing.T) {
	cases := []struct{ logits, target tensor }{
		{random(1, 1, 1, 1, 1), random(2, 1, 1, 1, 1)},
		{random(1, 3, 1, 1, 10), random(2, 3, 1, 1, 10)},
		{random(1, 2, 1, 1, 1000), random(2, 2, 1, 1, 1000)},
		{
			tensor{n: 3, h: 1, w: 1, c: 3, values: []float32{1000, 0, -1000, negInf, 0, 1, 88, 89, 90}},
			tensor{n: 3, h: 1, w: 1, c: 3, values: []float32{0, 1, 0, 0, 0.5, 0.5, 0.1, 0.1, 0.8}},
		},
	}
	for _, c := range cases {
		n, classes := c.logits.n, c.logits.c
		p := ref.Softmax(c.logits.dense())
		var loss, lossAbs, gradient, gradientAbs []float64
		for i := range n {
			x, target := c.logits.values[i*classes:][:classes], c.target.values[i*classes:][:classes]
			top, sum, total := math.Inf(-1), 0.0, 0.0
			for _, v := range x {
				top = math.Max(top, float64(v))
			}
			for j, v := range x {
				sum += math.Exp(float64(v) - top)
				total += float64(target[j])
			}
			l, abs := 0.0, 0.0
			for j, v := range x {
				if target[j] != 0 {
					d := float64(target[j]) * (top + math.Log(sum) - float64(v))
					l += d
					abs += math.Abs(d)
				}
				q := p[i*classes+j] * total
				gradient = append(gradient, q-float64(target[j]))
				gradientAbs = append(gradientAbs, math.Abs(q)+math.Abs(float64(target[j])))
			}
			loss, lossAbs = append(loss, l), append(lossAbs, abs)
		}
		for i, l := range layouts {
			t.Run(fmt.Sprintf("%dx%d/layout=%d", n, classes, i), func(t *testing.T) {
				srcs := []tensor{c.logits.in(layouts[(i+1)%len(layouts)]), c.target.in(l)}
				exercise(t, 2, tensor{n: n, h: 1, w: 1, c: 1}.in(l), srcs,
					func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
						return kernels.BindCrossEntropy(dst, srcs[0], srcs[1])
					},
					func(side string, got kernels.View) {
						kerneltest.Compare(t, side, got, loss, kerneltest.SumBound(1, lossAbs))
					})
				exercise(t, 2, tensor{n: n, h: 1, w: 1, c: classes}.in(l), srcs,
					func(dst kernels.View, srcs []kernels.View) (workers.Task, error) {
						return kernels.BindCrossEntropyGradient(dst, srcs[0], srcs[1])
					},
					func(side string, got kernels.View) {
						kerneltest.Compare(t, side, got, gradient, kerneltest.SumBound(1, gradientAbs))
					})
			})
		}
	}
}

// TestCrossEntropyErrors: views that do not fit are an error that says what was expected.
func TestCrossEntropyErrors(t *testing.T) {
	view := func(n, h, c int) kernels.View { return kernels.NewView(kernels.Type{}, n, h, 1, c, 0) }
	for _, c := range []struct {
		name                string
		dst, logits, target kernels.View
		want                []string
	}{
		{"loss", view(2, 1, 1), view(2, 1, 7), view(2, 1, 7), nil},
		{"loss, channels", view(2, 1, 7), view(2, 1, 7), view(2, 1, 7), []string{"2×1×1×7", "1×1×1"}},
		{"loss, classes", view(2, 1, 1), view(2, 1, 7), view(2, 1, 6), []string{"2×1×1×6", "2×1×1×7"}},
		{"loss, pixels", view(2, 1, 1), view(2, 2, 7), view(2, 2, 7), []string{"2×2×1×7", "1×1 pixel"}},
		{"loss, batch", view(1, 1, 1), view(2, 1, 7), view(2, 1, 7), []string{"images"}},
	} {
		_, err := kernels.BindCrossEntropy(c.dst, c.logits, c.target)
		checkError(t, c.name, err, c.want)
	}
	_, err := kernels.BindCrossEntropyGradient(view(2, 1, 7), view(2, 1, 7), view(2, 1, 7))
	checkError(t, "gradient", err, nil)
	_, err = kernels.BindCrossEntropyGradient(view(2, 1, 7), view(2, 1, 6), view(2, 1, 7))
	checkError(t, "gradient, classes", err, []string{"2×1×1×6", "2×1×1×7"})
	_, err = kernels.BindCrossEntropyGradient(view(2, 2, 7), view(2, 2, 7), view(2, 2, 7))
	checkError(t, "gradient, pixels", err, []string{"2×2×1×7", "1×1 pixel"})
}
