package compression

import (
	"fmt"
	"maps"
	"math"

	"gonum.org/v1/gonum/floats"

	"firebench/kernels"
)

// leastRank chooses the least rank with the energy that is asked for, or none if the layer would not get smaller.
func (f *factoring) leastRank(t *target, w kernels.Weights) error {
	if err := f.explore(t, w); err != nil {
		return err
	}
	for _, c := range t.candidates { // in falling order of the ranks
		if c.loss <= 1-f.Energy && c.macs < t.Cost.MACs {
			t.rank = c.rank
		}
	}
	return nil
}

// explore finds out how much of a target's weights is lost with each rank.
func (f *factoring) explore(t *target, w kernels.Weights) error {
	if t.form == tucker {
		return f.exploreThree(t, w.Values)
	}
	most := min(t.breakEven(0), t.fullRank())
	if f.Budget > 0 {
		most /= 2
	}
	if most < 1 {
		return nil
	}
	a := t.matrix(w.Values)
	all := norm2(a.data)
	n := most
	if min(a.rows, a.cols) > exactRows && f.Energy > 0 {
		n = min(most, 64)
	}
	for {
		var err error
		if t.found, err = f.decompose(a, n); err != nil {
			return err
		}
		s := t.found.s
		missing := f.Energy*all - floats.Dot(s, s)
		if n == most || missing <= 0 {
			break
		}
		// No singular value that follows is larger than the last.
		least := float64(n) + missing/(s[n-1]*s[n-1])
		if !(least <= float64(most)) {
			return nil
		}
		n = min(most, max(2*n, int(math.Ceil(least))))
		if subspace(n) > eigenRows {
			n = most // one space for all ranks
		}
	}
	kept := make([]float64, n) // by the rank less one
	floats.CumSum(kept, floats.MulTo(kept, t.found.s, t.found.s))
	for i := n - 1; i >= 0; i-- {
		if err := f.add(t, Rank{N: i + 1}, 1-keptShare(kept[i], all)); err != nil {
			return err
		}
	}
	return nil
}

// keptShare returns part/all, and 1 if both are 0.
func keptShare(part, all float64) float64 {
	if all == 0 {
		return 1
	}
	return part / all
}

// add adds a candidate.
func (f *factoring) add(t *target, r Rank, loss float64) error {
	cost, cycles, err := t.cost(r, f.set)
	t.candidates = append(t.candidates, candidate{r, loss, cost.MACs, cycles})
	return err
}

// exploreThree is explore for layers that become three. From one candidate to the next there is one channel less
// on that side of the kernel where this loses less for the multiply-adds that it saves.
func (f *factoring) exploreThree(t *target, values []float32) error {
	s, taps := t.shape, t.shape.KH*t.shape.KW
	spectrum := func(a matrix) ([]float64, error) {
		d, err := f.decompose(a, min(a.rows, a.cols))
		return d.s, err
	}
	in, err := spectrum(swap(values, s.Out, s.In, taps))
	if err != nil {
		return err
	}
	out, err := spectrum(matrix{s.Out, s.In * taps, values})
	if err != nil {
		return err
	}
	all, lost := norm2(values), 0.0
	r := Rank{len(in), len(out)}
	for {
		here, _, err := t.cost(r, nil)
		if err != nil {
			return err
		}
		if here.MACs < t.Cost.MACs {
			if err := f.add(t, r, 1-keptShare(all-lost, all)); err != nil {
				return err
			}
		}
		next, least, price := r, 0.0, math.Inf(1)
		for _, step := range []struct {
			rank Rank
			loss float64
		}{
			{Rank{r.N - 1, r.Out}, in[r.N-1] * in[r.N-1]},
			{Rank{r.N, r.Out - 1}, out[r.Out-1] * out[r.Out-1]},
		} {
			if step.rank.N < 1 || step.rank.Out < 1 || step.rank.N > step.rank.Out*taps || step.rank.Out > step.rank.N*taps {
				continue
			}
			cost, _, err := t.cost(step.rank, nil)
			if err != nil {
				return err
			}
			if p := step.loss / float64(here.MACs-cost.MACs); p < price {
				next, least, price = step.rank, step.loss, p
			}
		}
		if next == r {
			return nil
		}
		r, lost = next, lost+least
	}
}

// spend chooses ranks so that what is left of the cycles is in the budget.
func (f *factoring) spend() error {
	budget := int(f.Budget * float64(f.total))
	cycles := f.total
	chosen := map[*target]candidate{}
	for _, t := range f.targets {
		chosen[t] = candidate{cycles: t.cycles}
		t.candidates = append(t.candidates, chosen[t])
	}
	// step takes the step to another rank of a layer with the least price, for what it loses and the cycles that it
	// saves. It reports false if none has one.
	step := func(price func(lost float64, saved int) float64) bool {
		var next *target
		var rank candidate
		least := math.Inf(1)
		for _, t := range f.targets {
			now := chosen[t]
			for _, c := range t.candidates {
				if p := price(c.loss-now.loss, now.cycles-c.cycles); p < least {
					next, rank, least = t, c, p
				}
			}
		}
		if next == nil {
			return false
		}
		cycles += rank.cycles - chosen[next].cycles
		chosen[next] = rank
		return true
	}
	none := math.Inf(1)
	for cycles > budget {
		cheapest := func(lost float64, saved int) float64 {
			if saved <= 0 {
				return none
			}
			return lost / float64(saved)
		}
		enough := func(lost float64, saved int) float64 {
			if cycles-saved > budget {
				return none
			}
			return lost
		}
		before, start := maps.Clone(chosen), cycles
		if !step(cheapest) {
			return fmt.Errorf("budget is %v, expected at least %.3f, which is left with the least ranks", f.Budget, float64(cycles)/float64(f.total))
		}
		if cycles <= budget { // the last step is the one that loses least of those that save enough
			chosen, cycles = before, start
			step(enough)
		}
	}
	// What the last step saved too much is spent again.
	for step(func(lost float64, saved int) float64 {
		if cycles-saved > budget || lost >= 0 {
			return none
		}
		return lost
	}) {
	}
	for t, c := range chosen {
		t.rank = c.rank
	}
	return nil
}
