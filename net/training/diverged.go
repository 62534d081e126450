package training

import (
	"fmt"
	"strings"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A DivergedError says where in a step numbers stopped being finite.
type DivergedError struct {
	Step int     // that could not be made, from 0 on
	Loss float64 // mean of the batch
	Rate float64 // of learning

	// Node is the first node whose result is not finite, in the order in which they run, of the network or of its gradients. It
	// is "input" for an image, and a layer whose weights are not finite if Weights is true.
	Node    string
	Weights bool
	Image   int // of the batch in which that happens; -1 for a sum over all, or for weights
}

func (e *DivergedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "training: step %d: the loss is %v: ", e.Step, e.Loss)
	switch {
	case e.Node == graph.Input:
		fmt.Fprintf(&b, "image %d of the batch has values that are not finite; check the data", e.Image)
		return b.String()
	case e.Weights:
		fmt.Fprintf(&b, "weights of layer %s are not finite", e.Node)
	case e.Image < 0:
		fmt.Fprintf(&b, "values of %s are the first that are not finite, in the sum over the batch", e.Node)
	default:
		fmt.Fprintf(&b, "values of %s are the first that are not finite, in image %d of the batch", e.Node, e.Image)
	}
	fmt.Fprintf(&b, "; lower the learning rate, which is %v, let it warm up, clip gradients, or start from other weights", e.Rate)
	return b.String()
}

// diagnose looks for the first value of the last batch that is not finite. It runs the network and its gradients again, on one
// image at a time, and keeps all values.
func (t *Trainer) diagnose(loss float64, images int) error {
	e := &DivergedError{Step: t.step, Loss: loss, Rate: t.Rate(t.step), Image: -1}
	for _, v := range t.params.layers {
		if !allFinite(v.all) {
			e.Node, e.Weights = v.Node, true
			return e
		}
	}
	m := t.plan.Model()
	plan, err := graph.Compile(m, part{t.params}, graph.Options{Set: t.Set, Algo: t.Algo, Threads: t.Threads, KeepAll: true, Train: true})
	if err != nil {
		return fmt.Errorf("%w (%w)", e, err)
	}
	defer plan.Close()
	for e.Image = range images {
		for _, name := range fed(m) {
			to, _ := plan.Node(name)
			from, _ := t.plan.Node(name)
			copyImage(to, from.Image(e.Image))
		}
		if err := plan.Run(); err != nil {
			return fmt.Errorf("%w (%w)", e, err)
		}
		e.Node = graph.Input
		if !finiteView(plan.Input()) {
			return e
		}
		for _, n := range m.Nodes {
			e.Node = n.Name
			if v, ok := plan.Node(n.Name); ok && !finiteView(v) {
				return e
			}
		}
	}
	e.Image = -1
	for i, v := range t.plan.Outputs() {
		if e.Node = m.Outputs[i]; !finiteView(v) {
			break
		}
	}
	return e
}

// fed returns the names of the values of m that are written before a run.
func fed(m *graph.Model) []string {
	names := []string{graph.Input}
	for _, n := range m.Nodes {
		if _, ok := n.Layer.(layer.Feed); ok {
			names = append(names, n.Name)
		}
	}
	return names
}

// copyImage copies the only image of one view to another.
func copyImage(to, from kernels.View) {
	for y := range from.H {
		for x := range from.W {
			copy(kernels.Pixel[float32](to, 0, y, x), kernels.Pixel[float32](from, 0, y, x))
		}
	}
}

func allFinite(values []float32) bool {
	for _, x := range values {
		if x-x != 0 {
			return false
		}
	}
	return true
}

func finiteView(v kernels.View) bool {
	finite := true
	eachPixel(v, func(pixel []float32) { finite = finite && allFinite(pixel) })
	return finite
}
