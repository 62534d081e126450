package training_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/training"
	"firebench/net/weights"
)

// node is a row of a table.
func node(name string, l layer.Layer, inputs ...string) graph.Node {
	return graph.Node{Name: name, Layer: l, Inputs: inputs}
}

// sharing is a node that uses the weights of another one.
func sharing(owner string, n graph.Node) graph.Node {
	n.Weights = owner
	return n
}

// square returns a convolution that keeps the size of its input.
func square(out, kernel int) layer.Conv {
	return layer.Conv{Out: out, Kernel: kernel, Pad: kernels.Pad(kernel / 2)}
}

var (
	relu   = layer.ReLU{}
	global = layer.GlobalAvgPool{}
	lrn    = layer.LRN{Size: 5, Alpha: 0.5, Beta: 0.75, K: 1}
)

// fire is a Fire module, with a bypass if bypass is "simple" or "complex".
func fire(name, in string, squeeze, expand int, bypass string) []graph.Node {
	s, e1, e3, out := name+".s", name+".e1", name+".e3", name+".cat"
	nodes := []graph.Node{
		node(s, layer.Conv{Out: squeeze, Kernel: 1}, in), node(s+".relu", relu),
		node(e1, layer.Conv{Out: expand, Kernel: 1}, s+".relu"), node(e1+".relu", relu),
		node(e3, square(expand, 3), s+".relu"), node(e3+".relu", relu),
		node(out, layer.Concat{}, e1+".relu", e3+".relu"),
	}
	switch bypass {
	case "":
		return append(nodes, node(name, layer.Dropout{}))
	case "simple":
		return append(nodes, node(name, layer.Add{}, in, out))
	}
	return append(nodes, node(name+".bypass", layer.Conv{Out: 2 * expand, Kernel: 1}, in), node(name, layer.Add{}, name+".bypass", out))
}

// networks have every kind of layer that has a gradient, each with the parameters that make a
// difference. A first convolution makes the gradient pass the layers behind it.
var networks = []struct {
	name  string
	in    layer.Shape
	nodes []graph.Node
}{
	{"dense", layer.Shape{H: 1, W: 1, C: 7}, []graph.Node{node("f", layer.Dense{Out: 5})}},
	{"dense of an image", layer.Shape{H: 5, W: 4, C: 3}, []graph.Node{node("a", square(6, 3)), node("r", relu), node("f", layer.Dense{Out: 9}), node("fr", relu), node("g", layer.Dense{Out: 4}), node("p", layer.Softmax{})}},
	{"3×3", layer.Shape{H: 9, W: 7, C: 5}, []graph.Node{node("a", square(17, 3)), node("b", square(9, 3)), node("g", global)}},
	{"1×1", layer.Shape{H: 9, W: 7, C: 5}, []graph.Node{node("a", square(33, 1)), node("r", relu), node("b", square(9, 1)), node("g", global)}},
	{"5×5 without padding", layer.Shape{H: 9, W: 8, C: 3}, []graph.Node{node("a", square(6, 3)), node("b", layer.Conv{Out: 9, Kernel: 5}), node("g", global)}},
	{"padded 1×1", layer.Shape{H: 5, W: 6, C: 3}, []graph.Node{node("a", square(6, 3)), node("r", relu), node("b", layer.Conv{Out: 9, Kernel: 1, Pad: kernels.Pad(1)}), node("br", relu), node("g", global)}},
	{"more padding than the kernel", layer.Shape{H: 5, W: 4, C: 3}, []graph.Node{node("a", square(4, 3)), node("b", layer.Conv{Out: 3, Kernel: 2, Pad: kernels.Padding{Top: 3, Left: 1, Bottom: 2, Right: 2}}), node("r", relu), node("g", layer.Dense{Out: 4})}},
	{"padding on one side", layer.Shape{H: 6, W: 5, C: 3}, []graph.Node{node("a", square(4, 3)), node("b", layer.Conv{Out: 3, Kernel: 3, KernelW: 4, Pad: kernels.Padding{Bottom: 2, Left: 3}}), node("g", layer.Dense{Out: 4})}},
	{"groups", layer.Shape{H: 6, W: 5, C: 4}, []graph.Node{node("a", layer.Conv{Out: 6, Kernel: 3, Groups: 2, Pad: kernels.Pad(1)}), node("r", relu), node("b", layer.Conv{Out: 9, Kernel: 5, Groups: 3, Pad: kernels.Pad(2)}), node("g", global)}},
	{"stride 2", layer.Shape{H: 10, W: 9, C: 3}, []graph.Node{node("a", square(6, 3)), node("b", layer.Conv{Out: 5, Kernel: 3, Stride: 2}), node("g", global)}},
	{"stride 3 and padding", layer.Shape{H: 10, W: 11, C: 3}, []graph.Node{node("a", square(4, 3)), node("b", layer.Conv{Out: 6, Kernel: 5, Stride: 3, Groups: 2, Pad: kernels.Padding{Top: 2, Left: 1, Right: 2}}), node("g", global)}},
	{"stride longer than the kernel", layer.Shape{H: 8, W: 9, C: 3}, []graph.Node{node("a", square(4, 3)), node("b", layer.Conv{Out: 5, Kernel: 1, Stride: 3}), node("g", global)}},
	{"max pools", layer.Shape{H: 12, W: 11, C: 3}, []graph.Node{node("a", square(18, 3)), node("ar", relu), node("p", layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true}), node("b", square(5, 1)), node("q", layer.MaxPool{Kernel: 2, KernelW: 3, Pad: kernels.Padding{Top: 1, Right: 2}}), node("r", relu), node("g", layer.Dense{Out: 4})}},
	{"max pools of rectified values", layer.Shape{H: 12, W: 11, C: 3}, slices.Concat(fire("f", "input", 3, 8, ""), []graph.Node{
		node("p", layer.MaxPool{Kernel: 3, Stride: 2}), node("a", square(6, 3)), node("r", relu), node("q", layer.MaxPool{Kernel: 2}), node("b", square(6, 2), "r"), node("br", relu), node("bp", layer.MaxPool{Kernel: 2}),
		node("f1", layer.Dense{Out: 4}, "q"), node("f2", layer.Dense{Out: 4}, "bp"), node("s", layer.Add{}, "f1", "f2"),
	})},
	{"average pools", layer.Shape{H: 12, W: 11, C: 3}, []graph.Node{node("a", square(18, 3)), node("p", layer.AvgPool{Kernel: 3, Stride: 2, Pad: kernels.Pad(1), Ceil: true}), node("b", square(5, 1)), node("q", layer.AvgPool{Kernel: 2, KernelW: 3, Pad: kernels.Padding{Top: 1, Right: 2}, ExcludePad: true}), node("r", relu), node("g", layer.Dense{Out: 4})}},
	{"normalization", layer.Shape{H: 4, W: 3, C: 3}, []graph.Node{node("a", square(19, 3)), node("n", lrn), node("b", square(5, 3)), node("g", global)}},
	{"dropout", layer.Shape{H: 4, W: 3, C: 3}, []graph.Node{node("a", square(19, 3)), node("r", relu), node("d", layer.Dropout{Rate: 0.5}), node("b", square(5, 3)), node("e", layer.Dropout{Rate: 0.25}), node("g", global)}},
	{"a value read three times", layer.Shape{H: 4, W: 3, C: 3}, []graph.Node{
		node("a", square(6, 3)), node("r", relu), node("b", square(6, 3), "r"), node("c", square(6, 1), "r"),
		node("s", layer.Add{}, "b", "c"), node("t", layer.Add{}, "s", "r"), node("g", global),
	}},
	{"a sum with itself", layer.Shape{H: 4, W: 3, C: 3}, []graph.Node{node("a", square(6, 3)), node("s", layer.Add{}, "a", "a"), node("b", square(5, 3)), node("g", global)}},
	{"a concatenation of values that others read too", layer.Shape{H: 4, W: 5, C: 3}, []graph.Node{
		node("a", square(6, 3)), node("r", relu), node("b", square(4, 3)), node("c", layer.Concat{}, "r", "b", "input"),
		node("d", layer.Concat{}, "b", "b", "c"), node("e", square(5, 3)), node("g", global),
	}},
	{"shared weights", layer.Shape{H: 7, W: 6, C: 4}, []graph.Node{
		node("a", square(4, 3)), node("r", relu), sharing("a", node("b", square(4, 3))), node("s", layer.Add{}, "b", "r"),
		sharing("a", node("c", layer.Conv{Out: 4, Kernel: 3, Stride: 2})), node("f", layer.Dense{Out: 3}), node("g", layer.Softmax{}),
	}},
	{"squeezenet", layer.Shape{H: 33, W: 31, C: 3}, slices.Concat(
		[]graph.Node{node("conv1", layer.Conv{Out: 8, Kernel: 3, Stride: 2}), node("conv1.relu", relu), node("pool1", layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true})},
		fire("fire2", "pool1", 3, 8, "complex"), fire("fire3", "fire2", 4, 8, "simple"),
		[]graph.Node{node("pool3", layer.MaxPool{Kernel: 3, Stride: 2, Ceil: true})},
		fire("fire4", "pool3", 4, 10, "complex"), fire("fire5", "fire4", 4, 10, ""),
		[]graph.Node{
			node("drop", layer.Dropout{Rate: 0.5}), node("conv10", layer.Conv{Out: 7, Kernel: 1, Pad: kernels.Pad(1)}), node("conv10.relu", relu),
			node("pool10", global), node("prob", layer.Softmax{}),
		})},
	{"alexnet", layer.Shape{H: 39, W: 39, C: 3}, []graph.Node{
		node("conv1", layer.Conv{Out: 16, Kernel: 11, Stride: 4}), node("conv1.relu", relu), node("norm1", lrn), node("pool1", layer.MaxPool{Kernel: 3, Stride: 2}),
		node("conv2", layer.Conv{Out: 16, Kernel: 5, Pad: kernels.Pad(2), Groups: 2}), node("conv2.relu", relu), node("norm2", lrn),
		node("conv3", square(10, 3)), node("conv3.relu", relu), node("conv4", layer.Conv{Out: 8, Kernel: 3, Pad: kernels.Pad(1), Groups: 2}), node("conv4.relu", relu),
		node("pool5", layer.MaxPool{Kernel: 2, Stride: 1}), node("fc6", layer.Dense{Out: 20}), node("fc6.relu", relu), node("drop6", layer.Dropout{Rate: 0.5}),
		node("fc7", layer.Dense{Out: 16}), node("fc7.relu", relu), node("fc8", layer.Dense{Out: 6}), node("prob", layer.Softmax{}),
	}},
}

// A problem is a network with its weights, and a batch of images with their targets.
type problem struct {
	model   *graph.Model
	weights map[string]kernels.Weights
	images  []reference // weights are common to all
	inputs  [][]float64
}

func (p *problem) Layer(param graph.Param) (kernels.Weights, error) {
	return p.weights[param.Node], nil
}

func (p *problem) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// newProblem makes a problem of a table with random numbers, all of which float32 holds.
func newProblem(t *testing.T, in layer.Shape, nodes []graph.Node, batch int) *problem {
	t.Helper()
	p := &problem{model: &graph.Model{Name: "small", Input: in, Nodes: nodes}, weights: map[string]kernels.Weights{}}
	params, err := p.model.Params()
	if err != nil {
		t.Fatal(err)
	}
	wide := map[string][]float64{}
	for _, param := range params {
		w, err := weights.Random(1).Layer(param)
		if err != nil {
			t.Fatal(err)
		}
		p.weights[param.Node] = w
		wide[param.Node] = widen(append(slices.Clone(w.Values), w.Bias...))
	}
	infos, err := p.model.Infer()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range batch {
		ref := reference{model: p.model, infos: infos, weights: wide, masks: map[string][]float64{}}
		for _, n := range infos {
			if d, ok := n.Layer.(layer.Dropout); ok && d.Rate > 0 {
				mask := make([]float64, n.Out.Elems())
				for i := range mask {
					if r.Float32() >= d.Rate {
						mask[i] = float64(1 / (1 - d.Rate))
					}
				}
				ref.masks[n.Name] = mask
			}
		}
		for range infos[len(infos)-1].Out.C {
			ref.target = append(ref.target, float64(float32(0.3*r.Float64())))
		}
		p.images = append(p.images, ref)
		p.inputs = append(p.inputs, widen(kerneltest.Random(r.Uint64(), in.Elems())))
	}
	return p
}

// gradients returns the losses of all images and the sums of their gradients.
func (p *problem) gradients() (losses []float64, grads map[string][]float64) {
	grads = map[string][]float64{}
	for i := range p.images {
		losses = append(losses, p.images[i].backward(p.inputs[i], grads))
	}
	return losses, grads
}

// compile compiles the problem's network with its gradients.
func (p *problem) compile(t *testing.T, b training.BackwardOptions, o graph.Options) *graph.Plan {
	t.Helper()
	m, w, err := training.Backward(b).Apply(p.model, p)
	if err != nil {
		t.Fatal(err)
	}
	o.Batch, o.Train = len(p.images), true
	plan, err := graph.Compile(m, w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plan.Close)
	return plan
}

// run runs a plan on the problem's images.
func (p *problem) run(t *testing.T, plan *graph.Plan) {
	t.Helper()
	write := func(v kernels.View, image int, values []float64) {
		for i, x := range values {
			kernels.Pixel[float32](v, image, i/v.C/v.W, i/v.C%v.W)[i%v.C] = float32(x)
		}
	}
	for i, ref := range p.images {
		write(plan.Input(), i, p.inputs[i])
		target, _ := plan.Node(training.Target)
		write(target, i, ref.target)
		for name, mask := range ref.masks {
			v, _ := plan.Node(name + training.MaskSuffix)
			write(v, i, mask)
		}
	}
	if err := plan.Run(); err != nil {
		t.Fatal(err)
	}
}

// outputs returns the numbers of each of a plan's outputs.
func outputs(plan *graph.Plan) [][]float32 {
	var all [][]float32
	for _, v := range plan.Outputs() {
		var values []float32
		for n := range v.N {
			values = append(values, kernels.Pixel[float32](v, n, 0, 0)...)
		}
		all = append(all, values)
	}
	return all
}

func widen(values []float32) []float64 {
	wide := make([]float64, len(values))
	for i, v := range values {
		wide[i] = float64(v)
	}
	return wide
}

// TestReference compares the reference with finite differences.
func TestReference(t *testing.T) {
	for _, n := range networks {
		t.Run(n.name, func(t *testing.T) {
			p := newProblem(t, n.in, n.nodes, 1)
			p.images[0].checkDifferences(t, p.inputs[0])
		})
	}
}

// TestBackward compares losses and gradients with the reference, with each algorithm and layer by layer as
// well as in bands.
func TestBackward(t *testing.T) {
	for _, n := range networks {
		t.Run(n.name, func(t *testing.T) {
			p := newProblem(t, n.in, n.nodes, 3)
			losses, grads := p.gradients()
			params, _ := p.model.Params()
			kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
				for _, algo := range []string{"direct", "winograd"} {
					for _, keep := range []bool{false, true} {
						plan := p.compile(t, training.BackwardOptions{}, graph.Options{Set: set, Algo: algo, Threads: 2, KeepAll: keep})
						p.run(t, plan)
						got := outputs(plan)
						if len(got) != 2+len(params) {
							t.Fatalf("%d outputs, expected loss, logits and %d gradients", len(got), len(params))
						}
						closeTo(t, algo+": loss", got[0], losses)
						for i, param := range params {
							closeTo(t, algo+": gradient of "+param.Node, got[2+i], grads[param.Node])
						}
					}
				}
			})
		})
	}
}

// closeTo compares numbers with a reference: their differences, against the largest number.
func closeTo(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	most, worst, at := 0.0, 0.0, 0
	for i, w := range want {
		most = max(most, math.Abs(w))
		if d := math.Abs(float64(got[i]) - w); !(d <= worst) {
			worst, at = d, i
		}
	}
	if !(worst <= 1e-5*most) {
		t.Errorf("%s: number %d is %g, want %g, which differs by %.1e of the largest", what, at, got[at], want[at], worst/most)
	}
}

// TestSameBits: gradients are the same bits with any number of threads and on every instruction set that has
// fused multiply-adds, if all convolutions are direct. Channels beyond whole vectors are normalized without
// fused multiply-adds: the networks have as many of these with each set.
func TestSameBits(t *testing.T) {
	for _, n := range networks {
		var want [][]float32
		p := newProblem(t, n.in, n.nodes, 4)
		kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
			if set.ISA == kernels.Scalar {
				return
			}
			for _, threads := range []int{1, 2, 4} {
				plan := p.compile(t, training.BackwardOptions{}, graph.Options{Set: set, Algo: "direct", Threads: threads})
				p.run(t, plan)
				got := outputs(plan)
				if want == nil {
					want = got
				}
				for i := range got {
					if !slices.Equal(got[i], want[i]) {
						t.Errorf("%s: output %d with %d threads has other bits", n.name, i, threads)
					}
				}
			}
		})
	}
}

// TestLoad: a plan whose weights were loaded computes the same as one that was compiled with them, also a
// second time, and neither Load nor Run allocates.
func TestLoad(t *testing.T) {
	for _, n := range networks {
		p := newProblem(t, n.in, n.nodes, 2)
		for _, algo := range []string{"direct", "winograd"} {
			want := p.compile(t, training.BackwardOptions{}, graph.Options{Algo: algo, Threads: 2})
			p.run(t, want)
			others := &problem{model: p.model, weights: map[string]kernels.Weights{}, images: p.images, inputs: p.inputs}
			for node, w := range p.weights {
				others.weights[node] = kernels.Weights{Values: slices.Repeat([]float32{0.1, -0.2}, len(w.Values))[:len(w.Values)], Bias: slices.Repeat([]float32{1}, len(w.Bias))}
			}
			plan := others.compile(t, training.BackwardOptions{}, graph.Options{Algo: algo, Threads: 2})
			p.run(t, plan)
			if slices.Equal(outputs(plan)[0], outputs(want)[0]) {
				t.Errorf("%s: the loss is that of other weights", n.name)
			}
			step := func() {
				if err := plan.Load(p); err != nil {
					t.Fatal(err)
				}
				if err := plan.Run(); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				step()
				for i, got := range outputs(plan) {
					if !slices.Equal(got, outputs(want)[i]) {
						t.Errorf("%s: output %d differs after Load", n.name, i)
					}
				}
			}
			allocs := 1.0
			for tries := 0; allocs != 0 && tries < 5; tries++ {
				allocs = testing.AllocsPerRun(1, step)
			}
			if allocs != 0 {
				t.Errorf("%s: %v allocations a step", n.name, allocs)
			}
		}
	}
}

// TestFrozen: frozen weights have no gradient, what is only needed for them is not computed, and the other
// gradients are the same.
func TestFrozen(t *testing.T) {
	n := networks[slices.IndexFunc(networks, func(n struct {
		name  string
		in    layer.Shape
		nodes []graph.Node
	}) bool {
		return n.name == "squeezenet"
	})]
	p := newProblem(t, n.in, n.nodes, 2)
	_, grads := p.gradients()
	frozen := func(node string) bool { return !strings.HasPrefix(node, "fire5") && node != "fire4.e3" }
	plan := p.compile(t, training.BackwardOptions{Frozen: frozen}, graph.Options{})
	p.run(t, plan)
	var names []string
	for _, s := range plan.Steps() {
		if s.Pass == layer.GradInput {
			names = append(names, s.Name)
		}
		if s.Pass == layer.GradWeight && frozen(strings.TrimSuffix(s.Name, ".grad-weight")) {
			t.Errorf("step %s for frozen weights", s.Name)
		}
	}
	if s := strings.Join(names, " "); strings.Contains(s, "fire4.s") || strings.Contains(s, "fire4.e1") || strings.Contains(s, "fire3") || strings.Contains(s, "pool1.") {
		t.Errorf("gradients that nothing needs: %s", s)
	}
	got := outputs(plan)
	for i, node := range []string{"fire4.e3", "fire5.s", "fire5.e1", "fire5.e3"} {
		closeTo(t, node, got[2+i], grads[node])
	}
	if len(got) != 6 {
		t.Errorf("%d outputs, want 6", len(got))
	}
}

// TestBackwardErrors checks what cannot be trained.
func TestBackwardErrors(t *testing.T) {
	uint8s := kernels.Type{Element: kernels.Uint8, Scale: 1}
	for _, test := range []struct {
		nodes  []graph.Node
		frozen bool
		want   string
	}{
		{[]graph.Node{node("a", square(4, 3)), node("s", layer.Softmax{}), node("b", square(4, 1)), node("g", global)}, false, "small: node s (softmax): it has no gradient"},
		{[]graph.Node{node("a", square(4, 3)), node("q", layer.Quantize{Type: uint8s}), node("b", layer.Dequantize{}), node("g", global)}, false, "node b (dequantize): it has no gradient"},
		{[]graph.Node{node("q", layer.Quantize{Type: uint8s}), node("a", layer.Conv{Out: 4, Kernel: 3, Type: uint8s}), node("b", layer.Dequantize{}), node("g", global)}, false, "node b (dequantize): it has no gradient"},
		{[]graph.Node{node("a", square(4, 3))}, false, "node a: the logits are 5×6×4, expected one pixel"},
		{[]graph.Node{node("g", global)}, false, "no weights to train"},
		{[]graph.Node{node("a", square(4, 3)), node("g", global)}, true, "no weights to train"},
		{[]graph.Node{node("g", layer.Softmax{})}, false, "no layer computes the logits"},
		{[]graph.Node{node("target", square(4, 3)), node("g", global)}, false, "the name target is taken"},
	} {
		m := &graph.Model{Name: "small", Input: layer.Shape{H: 5, W: 6, C: 3}, Nodes: test.nodes}
		m, w, err := training.Backward(training.BackwardOptions{Frozen: func(string) bool { return test.frozen }}).Apply(m, weights.Random(1))
		if err == nil {
			_, err = graph.Compile(m, w, graph.Options{})
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: error %v, want one with %q", test.nodes, err, test.want)
		}
	}
}

// TestMaskedBeforePool: where a max pool alone reads rectified values, a gradient is masked before it passes the
// pool, and not again behind it.
func TestMaskedBeforePool(t *testing.T) {
	m := &graph.Model{Name: "small", Input: layer.Shape{H: 12, W: 11, C: 3}, Nodes: slices.Concat(fire("f", "input", 3, 8, ""), []graph.Node{node("p", layer.MaxPool{Kernel: 3, Stride: 2}), node("g", global)})}
	m, _, err := training.Backward(training.BackwardOptions{}).Apply(m, weights.Random(1))
	if err != nil {
		t.Fatal(err)
	}
	var masks []string
	for _, n := range m.Nodes {
		if _, ok := n.Layer.(layer.ReLUGradient); ok {
			masks = append(masks, n.Name)
		}
	}
	if got, want := fmt.Sprint(masks), "[p.grad.relu f.s.relu.grad-input]"; got != want {
		t.Errorf("masks %s, want %s", got, want)
	}
}

// TestOtherOutputs: nodes that the main output does not need are left out.
func TestOtherOutputs(t *testing.T) {
	m := &graph.Model{Name: "small", Input: layer.Shape{H: 5, W: 6, C: 3}, Outputs: []string{"prob", "side"}, Nodes: []graph.Node{
		node("a", square(4, 3)), node("side", square(5, 1)), node("g", global, "a"), node("prob", layer.Softmax{}),
	}}
	m, _, err := training.Backward(training.BackwardOptions{}).Apply(m, weights.Random(1))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range m.Nodes {
		names = append(names, n.Name)
	}
	if got, want := fmt.Sprint(names), "[a g target loss loss.grad-input g.grad-input a.grad-weight]"; got != want {
		t.Errorf("nodes %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(m.Outputs), "[loss g a.grad-weight]"; got != want {
		t.Errorf("outputs %s, want %s", got, want)
	}
}
