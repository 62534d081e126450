package training

import "math"

// A Schedule gives the learning rate of each step, from 0 on.
type Schedule func(step int) float64

// Constant is one rate for all steps.
func Constant(rate float64) Schedule { return func(int) float64 { return rate } }

// Linear falls from rate at step 0 by the same amount each step, to 0 at step steps.
func Linear(rate float64, steps int) Schedule { return Poly(rate, 1, steps) }

// Poly is rate·(1 − step/steps)^power, as the policy of that name in Caffe, and 0 from step steps on.
func Poly(rate, power float64, steps int) Schedule {
	return func(step int) float64 {
		left := max(0, float64(steps-step)) / float64(steps)
		if power != 1 { // the result for 1 is the same on every machine
			left = math.Pow(left, power)
		}
		return rate * left
	}
}

// Steps is rate, multiplied by factor at each of the steps at, which rise.
func Steps(rate, factor float64, at ...int) Schedule {
	return func(step int) float64 {
		r := rate
		for _, s := range at {
			if step < s {
				break
			}
			r *= factor
		}
		return r
	}
}

// Cosine falls from rate at step 0 to 0 at step steps along half a wave: rate·(1 + cos(π·step/steps))/2. See Loshchilov and
// Hutter, https://arxiv.org/abs/1608.03983.
func Cosine(rate float64, steps int) Schedule {
	return func(step int) float64 {
		return rate * (1 + math.Cos(math.Pi*float64(min(step, steps))/float64(steps))) / 2
	}
}

// WarmUp is s, but in the first steps a share of it that rises by the same amount each step: 1/steps of it at step 0, all
// of it from step steps-1 on.
func WarmUp(s Schedule, steps int) Schedule {
	return func(step int) float64 {
		if step+1 < steps {
			return s(step) * float64(step+1) / float64(steps)
		}
		return s(step)
	}
}
