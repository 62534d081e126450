package main

import (
	"fmt"
	"math"
)

// An agreement says how close a peer's logits must be to ours. In their place there may be what a step of training
// computes: the loss, and by how much the step changes the weights.
type agreement struct {
	logits []float32 // ours
	bound  float64   // of the largest difference, in parts of the largest logit; of the loss, in parts of that
	top    bool      // the largest logit must be the same one
	loss   bool      // the first is a loss, the others are changes
}

// check returns an error that says by how much logits are too far away.
func (a agreement) check(logits []float32) error {
	if len(logits) != len(a.logits) {
		return fmt.Errorf("%d logits, expected %d", len(logits), len(a.logits))
	}
	if a.loss {
		if theirs, ours := float64(logits[0]), float64(a.logits[0]); !(math.Abs(theirs-ours) <= a.bound*math.Abs(ours)) {
			return fmt.Errorf("the loss is %v, expected %v", theirs, ours)
		}
		changes := agreement{logits: a.logits[1:], bound: a.bound}
		if err := changes.check(logits[1:]); err != nil {
			return fmt.Errorf("changes of weights in the place of logits: %w", err)
		}
		return nil
	}
	off, largest := distance(logits, a.logits), magnitude(a.logits)
	if !(off <= a.bound*largest) { // also if one is not a number
		return fmt.Errorf("logits are off by %.2g of the largest, expected at most %.2g", off/largest, a.bound)
	}
	if got, want := argmax(logits), argmax(a.logits); a.top && got != want {
		return fmt.Errorf("logit %d is the largest, expected %d", got, want)
	}
	return nil
}

// distance is the largest difference of two results, not a number if one of theirs is none.
func distance(a, b []float32) float64 {
	d := 0.0
	for i := range a {
		d = max(d, math.Abs(float64(a[i])-float64(b[i])))
	}
	return d
}

// magnitude is the largest absolute value.
func magnitude(a []float32) float64 {
	m := 0.0
	for _, v := range a {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

func argmax(a []float32) int {
	at := 0
	for i, v := range a {
		if v > a[at] {
			at = i
		}
	}
	return at
}

// margin is how much larger than all others the largest is.
func margin(a []float32) float64 {
	top := argmax(a)
	m := math.Inf(1)
	for i, v := range a {
		if i != top {
			m = min(m, float64(a[top]-v))
		}
	}
	return m
}
