package evaluate

import (
	"math"
	"os"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o777); err != nil {
		t.Fatal(err)
	}
}

// permutation is the weights of a layer whose output i is its input p[i].
type permutation []int

func (p permutation) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

func (p permutation) Layer(graph.Param) (kernels.Weights, error) {
	w := kernels.Weights{Values: make([]float32, len(p)*len(p)), Bias: make([]float32, len(p))}
	for i, j := range p {
		w.Values[i*len(p)+j] = 1
	}
	return w, nil
}

// compile returns a network whose logits are its inputs in another order.
func compile(t *testing.T, order permutation) *graph.Plan {
	t.Helper()
	m := &graph.Model{Name: "order", Input: layer.Shape{H: 1, W: 1, C: len(order)}, Nodes: []graph.Node{
		{Name: "fc", Layer: layer.Dense{Out: len(order)}},
		{Name: "prob", Layer: layer.Softmax{}},
	}}
	p, err := graph.Compile(m, order, graph.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// value returns an input.
func value(logits ...float32) kernels.View {
	v := kernels.NewView(kernels.Type{}, 1, 1, 1, len(logits), 0)
	copy(kernels.Pixel[float32](v, 0, 0, 0), logits)
	return v
}

func TestEvaluation(t *testing.T) {
	// The second network mistakes class 0 for class 6, and the reverse.
	e, err := New(compile(t, permutation{0, 1, 2, 3, 4, 5, 6}), compile(t, permutation{6, 1, 2, 3, 4, 5, 0}))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		input kernels.View
		label int
	}{
		{value(9, 8, 7, 6, 5, 4, 3), 0},         // right; and the last but two for the second
		{value(1, 8, 7, 6, 5, 4, 1.5), 1},       // right; right
		{value(1, 8, 7, 6, 5, 4, 10), 2},        // third; third
		{value(1, 2, 3, 4, 5, 6, -10), Unknown}, // no label, and they agree
		{value(9, 8, 7, 6, 5, 4, 3), Unknown},   // no label, and they do not
	} {
		if err := e.Add(p.input, p.label); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		err := e.Add(value(1, 2, float32(bad), 4, 5, 6, 7), 0)
		if err == nil || !strings.Contains(err.Error(), "the result of order is not finite: the score of class ") {
			t.Errorf("a result of %g is the error %v", bad, err)
		}
	}
	if err := e.Add(value(1, 2), 0); err == nil {
		t.Error("no error for an input of another shape")
	}
	if n := e.Pictures(); n != 5 {
		t.Errorf("%d pictures, want 5", n)
	}
	scores := e.Scores()
	for i := range scores {
		if s := scores[i].Speed; !(s.Median > 0) || s.Lo != 0 || !math.IsInf(s.Hi, 1) {
			t.Errorf("speed is %v", s)
		}
		scores[i].Speed = Speed{}
	}
	want := []Score{
		{Top1: Share{2, 3}, Top5: Share{3, 3}, Agreement: Share{5, 5}},
		{Top1: Share{1, 3}, Top5: Share{2, 3}, Agreement: Share{2, 5}, Difference: 11, Worst: 3},
	}
	for i, s := range scores {
		if s != want[i] {
			t.Errorf("network %d has %+v, want %+v", i, s, want[i])
		}
	}
}

func TestNew(t *testing.T) {
	seven := compile(t, permutation{0, 1, 2, 3, 4, 5, 6})
	if _, err := New(seven, compile(t, permutation{0, 1, 2})); err == nil || !strings.Contains(err.Error(), "expected [1 1 1 7]") {
		t.Errorf("another number of inputs: error %v", err)
	}
	m := seven.Model()
	batch, err := graph.Compile(m, permutation{0, 1, 2, 3, 4, 5, 6}, graph.Options{Threads: 1, Batch: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Close()
	if _, err := New(batch); err == nil || !strings.Contains(err.Error(), "input of [2 1 1 7], expected [1 1 1 7]") {
		t.Errorf("a batch of 2: error %v", err)
	}
}
