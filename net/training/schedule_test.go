package training

import "testing"

// TestSchedules: rates at exact steps. Numbers are chosen so that they are exact, but for π.
func TestSchedules(t *testing.T) {
	type rates map[int]float64
	for _, c := range []struct {
		name string
		s    Schedule
		want rates
	}{
		{"constant", Constant(0.04), rates{0: 0.04, 1000: 0.04}},
		{"linear", Linear(0.5, 1024), rates{0: 0.5, 1: 0.5 * 1023 / 1024, 512: 0.25, 1023: 0.5 / 1024, 1024: 0, 2000: 0}},
		{"poly 1", Poly(0.5, 1, 1024), rates{0: 0.5, 512: 0.25, 1024: 0}},
		{"poly 0.5", Poly(0.5, 0.5, 1024), rates{0: 0.5, 768: 0.25, 1008: 0.0625, 1024: 0, 2000: 0}},
		{"poly 2", Poly(0.5, 2, 1024), rates{0: 0.5, 512: 0.125, 768: 0.03125}},
		{"steps", Steps(1, 0.25, 10, 20), rates{0: 1, 9: 1, 10: 0.25, 19: 0.25, 20: 0.0625, 1000: 0.0625}},
		{"cosine", Cosine(0.5, 1000), rates{0: 0.5, 500: 0.25, 1000: 0, 2000: 0, 250: 0.25 * (1 + 0.7071067811865476)}},
		{"warm-up", WarmUp(Linear(1, 16), 4), rates{0: 0.25, 1: 15. / 32, 2: 0.75 * 14 / 16, 3: 13. / 16, 4: 0.75, 16: 0}},
		{"no warm-up", WarmUp(Constant(1), 0), rates{0: 1, 1: 1}},
		{"warm-up of one step", WarmUp(Constant(1), 1), rates{0: 1, 1: 1}},
	} {
		for step, want := range c.want {
			if got := c.s(step); got-want > 1e-15 || want-got > 1e-15 {
				t.Errorf("%s: rate at step %d is %v, want %v", c.name, step, got, want)
			}
		}
	}
}
