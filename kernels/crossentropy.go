package kernels

import (
	"fmt"
	"math"

	"firebench/kernels/workers"
)

// BindCrossEntropy prepares the loss of a classifier: dst has, for each image, -Σ target·log(softmax(logits))
// over the channels, which are classes. target is a distribution over the classes, or a multiple of one.
// logits and target are 1×1 pixel, and dst is 1×1×1. Sums are in float64, and no logits overflow.
func BindCrossEntropy(dst, logits, target View) (workers.Task, error) {
	err := checkFloats(dst, logits, target)
	if err == nil {
		err = checkClasses(logits, target)
	}
	if err == nil && (dst.H != 1 || dst.W != 1 || dst.C != 1) {
		err = fmt.Errorf("destination %v, expected 1×1×1", dst)
	}
	if err != nil {
		return nil, fmt.Errorf("cross-entropy: %w", err)
	}
	return &crossEntropyTask{dst, logits, target}, nil
}

// BindCrossEntropyGradient prepares dst, the gradient of the logits for the loss of [BindCrossEntropy]:
// softmax(logits)·Σ target - target. All views are 1×1 pixel with a channel for each class.
func BindCrossEntropyGradient(dst, logits, target View) (workers.Task, error) {
	err := checkSame(dst, logits, target)
	if err == nil {
		err = checkClasses(logits, target)
	}
	if err != nil {
		return nil, fmt.Errorf("gradient of cross-entropy: %w", err)
	}
	return &crossEntropyGradientTask{dst, logits, target}, nil
}

func checkClasses(logits, target View) error {
	if err := checkShapes(logits, target); err != nil {
		return err
	}
	if logits.H != 1 || logits.W != 1 {
		return fmt.Errorf("logits %v, expected 1×1 pixel", logits)
	}
	return nil
}

// A crossEntropyTask is the cross-entropy of some images; a chunk is an image.
type crossEntropyTask struct{ dst, logits, target View }

func (t *crossEntropyTask) Chunks() int { return t.dst.N }

func (t *crossEntropyTask) Chunk(_, n int) {
	if n == 0 {
		t.dst.fillHalo()
	}
	x := Pixel[float32](t.logits, n, 0, 0)
	top, sum := exponentials(x)
	log := math.Log(sum)
	loss := 0.0
	for c, p := range Pixel[float32](t.target, n, 0, 0) {
		if p != 0 { // else an infinite logit would make the loss NaN
			loss += float64(float64(p) * (log - (float64(x[c]) - top)))
		}
	}
	Pixel[float32](t.dst, n, 0, 0)[0] = float32(loss)
}

// A crossEntropyGradientTask is the gradient of a crossEntropyTask; a chunk is an image.
type crossEntropyGradientTask struct{ dst, logits, target View }

func (t *crossEntropyGradientTask) Chunks() int { return t.dst.N }

func (t *crossEntropyGradientTask) Chunk(_, n int) {
	if n == 0 {
		t.dst.fillHalo()
	}
	x, target := Pixel[float32](t.logits, n, 0, 0), Pixel[float32](t.target, n, 0, 0)
	top, sum := exponentials(x)
	total := 0.0
	for _, p := range target {
		total += float64(p)
	}
	for c := range x {
		Pixel[float32](t.dst, n, 0, 0)[c] = float32(float64(math.Exp(float64(x[c])-top)/sum*total) - float64(target[c]))
	}
}

// exponentials returns the largest value and the sum of the exponentials of all values less that.
func exponentials(values []float32) (top, sum float64) {
	top = float64(values[0])
	for _, v := range values {
		top = max(top, float64(v))
	}
	for _, v := range values {
		sum += math.Exp(float64(v) - top)
	}
	return top, sum
}
