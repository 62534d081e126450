package training

import (
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/layer"
	"firebench/net/weights"
)

// TestPhases: Gradients and Update are what Step does, in that order alone, and the passes of the plan what Run does.
func TestPhases(t *testing.T) {
	b := stripes(1, 8)
	var trainers [2]*Trainer
	for i := range trainers {
		p, err := NewParams(tiny(), weights.Random(1))
		if err != nil {
			t.Fatal(err)
		}
		trainers[i] = newTrainer(t, p, Options{Batch: 4, Accumulate: 2, SGD: SGD{Momentum: 0.9}, Rate: Constant(0.1)})
	}
	whole, phases := trainers[0], trainers[1]
	for i := range 4 {
		part := b.part(i%2*4, i%2*4+4)
		want, err := whole.Step(part)
		if err != nil {
			t.Fatal(err)
		}
		got, err := phases.Gradients(part)
		if err != nil || got != want {
			t.Fatalf("batch %d: %+v, %v, expected %+v", i, got, err, want)
		}
		if i%2 == 0 {
			if err := phases.Update(); err == nil || !strings.Contains(err.Error(), "update after 1 of the 2 batches") {
				t.Errorf("an update too early: %v", err)
			}
			continue
		}
		if _, err := phases.Gradients(part); err == nil || !strings.Contains(err.Error(), "batch 3 of a step, expected at most 2") {
			t.Errorf("a batch too many: %v", err)
		}
		if err := phases.Update(); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range whole.Params().layers {
		if !slices.Equal(v.all, phases.Params().layers[i].all) {
			t.Errorf("%s: the weights differ", v.Node)
		}
	}

	values := func() (all []float32) {
		for _, v := range phases.Plan().Outputs() {
			all = append(all, kernels.Data[float32](v)...)
		}
		return all
	}
	if err := phases.Plan().Run(); err != nil {
		t.Fatal(err)
	}
	want := values()
	for _, passes := range [][]layer.Pass{{layer.Forward}, {layer.GradInput, layer.GradWeight}} {
		for _, v := range phases.Plan().Outputs() {
			if (v.N > 1) == (passes[0] == layer.Forward) {
				clear(kernels.Data[float32](v)) // what this pass computes
			}
		}
		if err := phases.Plan().RunPasses(passes...); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(values(), want) {
		t.Error("the passes one after the other do not compute what a run does")
	}
}
