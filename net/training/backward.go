package training

import (
	"errors"
	"fmt"
	"slices"

	"firebench/net/graph"
	"firebench/net/layer"
)

// The nodes that Backward adds to every model.
const (
	Target = "target" // a feed: the distribution over the classes that each image should have
	Loss   = "loss"   // the cross-entropy of each image
)

// MaskSuffix behind the name of a dropout is the name of the feed that its input is multiplied by.
const MaskSuffix = ".mask"

// BackwardOptions say what Backward adds.
type BackwardOptions struct {
	// Frozen reports whether the weights of a node stay as they are, so that they need no gradient.
	// nil means that no weights do.
	Frozen func(node string) bool
}

// Backward returns the rewrite that adds the loss and its gradients to a model of classes:
//
//   - What computes the main output from the logits, a softmax, is left out, and so are other outputs.
//   - A dropout becomes the product with a feed, whose values are 0 where the dropout drops, and else
//     1/(1-rate).
//   - The node Target is a feed, and Loss the cross-entropy.
//   - The outputs are the loss, the logits, and the gradients of the weights that are not frozen, in the
//     order of graph.Model.Params. They have the order of kernels.Weights, followed by the biases.
//     Gradients are sums over the images of the batch.
//
// The gradient by the result of node x is x.grad if it is the sum of what several readers add, and
// otherwise has the name of the reader's gradient. That by the input of x is x.grad-input, followed by the number of the
// input if x has several. That by the weights is x.grad-weight, and x.grad-weight.sum the sum over all nodes that use the weights of
// x. There are no gradients below the first node whose weights have one.
//
// The rewrite fails if a layer that a gradient must pass has none, or if all weights are frozen.
// Compile the model with graph.Options.Train, so that the plan can load the weights that change.
func Backward(o BackwardOptions) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		if o.Frozen == nil {
			o.Frozen = func(string) bool { return false }
		}
		b, err := newBackward(m, o)
		if err == nil {
			err = b.run()
		}
		if err != nil {
			return nil, nil, fmt.Errorf("training: %s: %w", m.Name, err)
		}
		return b.model, w, nil
	}
}

// A backward adds gradients to a model.
type backward struct {
	BackwardOptions
	model *graph.Model // in the making
	infos []graph.Info // of the forward nodes, which come first in the model
	index map[string]int
	needs []bool // by forward node: whether the gradient by its result is needed

	gradients map[string][]string // by forward node: the gradients by its result, one for each reader
	weights   map[string][]string // by node with weights of its own: their gradients, one for each user
	readers   map[string]int      // of forward nodes
	masked    map[string]bool     // forward nodes that are rectified, with gradients that are 0 where they are

	// later are gradients of weights, which are added when nothing is left to be computed in bands of rows:
	// they need whole images.
	later []graph.Node
}

// newBackward prepares the forward part of the model.
func newBackward(m *graph.Model, o BackwardOptions) (*backward, error) {
	b := &backward{
		BackwardOptions: o, index: map[string]int{},
		gradients: map[string][]string{}, weights: map[string][]string{},
		readers: map[string]int{}, masked: map[string]bool{},
	}
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	b.model = m.Clone()
	b.model.Classes = nil // the main output is the loss
	nodes := b.model.Nodes
	byName := map[string]int{}
	for i := range nodes {
		n := &nodes[i]
		byName[n.Name] = i
		if _, feed := n.Layer.(layer.Feed); len(n.Inputs) == 0 && !feed {
			n.Inputs = []string{graph.Input}
			if i > 0 {
				n.Inputs[0] = nodes[i-1].Name
			}
		}
	}
	last := len(nodes) - 1
	if len(m.Outputs) > 0 {
		last = byName[m.Outputs[0]]
	}
	if _, ok := nodes[last].Layer.(layer.Probabilistic); ok {
		i, ok := byName[nodes[last].Inputs[0]]
		if !ok {
			return nil, errors.New("no layer computes the logits")
		}
		if b.model.Head == nodes[last].Name {
			b.model.Head = ""
		}
		last = i
	}
	used := make([]bool, len(nodes))
	used[last] = true
	for i := last; i >= 0; i-- {
		for _, in := range nodes[i].Inputs {
			if j, ok := byName[in]; ok && used[i] {
				used[j] = true
			}
		}
	}
	if b.model.Head != "" && !used[byName[b.model.Head]] {
		b.model.Head = ""
	}
	b.model.Nodes = nil
	for i, n := range nodes {
		if !used[i] {
			continue
		}
		if d, ok := n.Layer.(layer.Dropout); ok && d.Rate > 0 {
			mask := n.Name + MaskSuffix
			b.add(mask, layer.Placeholder{Shape: infos[i].In[0]})
			n.Layer, n.Inputs = layer.Mul{}, append(n.Inputs, mask)
		}
		b.model.Nodes = append(b.model.Nodes, n)
	}
	b.model.Outputs = []string{nodes[last].Name}
	if b.infos, err = b.model.Infer(); err != nil {
		return nil, err
	}
	for i, n := range b.infos {
		b.index[n.Name] = i
		for _, in := range b.model.Nodes[i].Inputs {
			b.readers[in]++
		}
	}
	return b, nil
}

// add appends a node that reads these.
func (b *backward) add(name string, l layer.Layer, inputs ...string) {
	b.model.Nodes = append(b.model.Nodes, graph.Node{Name: name, Layer: l, Inputs: inputs})
}

// owner returns the node whose weights node i uses.
func (b *backward) owner(i int) string {
	if n := b.model.Nodes[i]; n.Weights != "" {
		return n.Weights
	}
	return b.model.Nodes[i].Name
}

// run adds loss and gradients.
func (b *backward) run() error {
	if err := b.need(); err != nil {
		return err
	}
	last := len(b.infos) - 1
	for b.infos[last].Name != b.model.Outputs[0] {
		last--
	}
	logits := b.infos[last]
	if s := logits.Out; s.H != 1 || s.W != 1 {
		return fmt.Errorf("node %s: the logits are %v, expected one pixel", logits.Name, s)
	}
	b.add(Target, layer.Placeholder{Shape: logits.Out})
	b.add(Loss, layer.CrossEntropy{}, logits.Name, Target)
	b.add(Loss+".grad-input", layer.CrossEntropyGradient{}, logits.Name, Target)
	b.gradients[logits.Name] = []string{Loss + ".grad-input"}
	for i := last; i >= 0; i-- {
		if !b.needs[i] {
			continue
		}
		if err := b.node(i); err != nil {
			return fmt.Errorf("node %s (%s): %w", b.infos[i].Name, b.infos[i].Layer.Op(), err)
		}
	}
	b.flush()
	b.model.Outputs = []string{Loss, logits.Name}
	for i, n := range b.infos {
		if g := b.weights[n.Name]; b.owner(i) == n.Name && len(g) > 0 {
			b.model.Outputs = append(b.model.Outputs, b.sum(g, n.Name+".grad-weight.sum"))
		}
	}
	return nil
}

// need finds out which gradients are needed.
func (b *backward) need() error {
	b.needs = make([]bool, len(b.infos))
	for i, n := range b.infos {
		_, weighted := n.Layer.(layer.Weighted)
		b.needs[i] = weighted && !b.Frozen(b.owner(i))
		for _, in := range b.model.Nodes[i].Inputs {
			if j, ok := b.index[in]; ok && b.needs[j] {
				b.needs[i] = true
			}
		}
	}
	if !slices.Contains(b.needs, true) {
		return errors.New("no weights to train")
	}
	return nil
}

// flush adds the gradients of weights that were put off.
func (b *backward) flush() {
	b.model.Nodes = append(b.model.Nodes, b.later...)
	b.later = nil
}

// node adds the gradients by the inputs and the weights of node i.
func (b *backward) node(i int) error {
	n, inputs := b.infos[i], b.model.Nodes[i].Inputs
	upstream := b.sum(b.gradients[n.Name], n.Name+".grad")
	if l, ok := n.Layer.(layer.Weighted); ok && !b.Frozen(b.owner(i)) {
		trainable, ok := l.(layer.Trainable)
		if !ok {
			return errors.New("its weights have no gradient")
		}
		g, err := trainable.WeightGradient(n.In[0])
		if err != nil {
			return fmt.Errorf("gradient of the weights: %w", err)
		}
		name := n.Name + ".grad-weight"
		b.later = append(b.later, graph.Node{Name: name, Layer: g, Inputs: []string{inputs[0], upstream}})
		b.weights[b.owner(i)] = append(b.weights[b.owner(i)], name)
	}
	if _, ok := n.Layer.(layer.Selector); ok && b.rectified(inputs[0]) {
		// The maximum is 0 where all that it is taken of is. A gradient is cheaper to mask here, where it is
		// smaller.
		activation, err := layer.ReLU{}.Gradient([]layer.Shape{n.Out}, 0)
		if err != nil {
			return err
		}
		b.masked[inputs[0]] = true
		upstream = b.operations(i, n.Name+".grad.relu", activation, upstream)
	}
	for k, in := range inputs {
		if j, ok := b.index[in]; !ok || !b.needs[j] {
			continue
		}
		l, ok := n.Layer.(layer.Differentiable)
		if !ok {
			return errors.New("it has no gradient")
		}
		operations, err := l.Gradient(n.In, k)
		if err != nil {
			return fmt.Errorf("gradient of input %s: %w", in, err)
		}
		if b.masked[n.Name] {
			if _, ok := n.Layer.(layer.Activation); ok {
				operations = nil
			} else {
				b.masked[in] = true
			}
		}
		name := n.Name + ".grad-input"
		if len(inputs) > 1 {
			name += fmt.Sprint(k)
		}
		b.gradients[in] = append(b.gradients[in], b.operations(i, name, operations, upstream))
	}
	return nil
}

// rectified reports whether the result of a node, which has one reader, is that of an activation, or
// consists of such results.
func (b *backward) rectified(name string) bool {
	i, ok := b.index[name]
	if !ok || b.readers[name] != 1 {
		return false
	}
	switch b.infos[i].Layer.(type) {
	case layer.Activation:
		return true
	case layer.Concatenation, layer.Identity:
		return !slices.ContainsFunc(b.model.Nodes[i].Inputs, func(in string) bool { return !b.rectified(in) })
	}
	return false
}

// operations adds operations of a gradient of node i, of which the last has the name, and returns the name of
// what they compute.
func (b *backward) operations(i int, name string, operations []layer.Operation, upstream string) string {
	before := upstream
	for step, o := range operations {
		var operands []string
		for _, operand := range o.Operands {
			switch operand {
			case layer.Upstream:
				operands = append(operands, upstream)
			case layer.Result:
				operands = append(operands, b.infos[i].Name)
			case layer.Before:
				operands = append(operands, before)
			default:
				operands = append(operands, b.model.Nodes[i].Inputs[operand])
			}
		}
		before = name
		if step < len(operations)-1 {
			before += "." + o.Layer.Op()
		}
		_, windowed := o.Layer.(layer.Windowed)
		_, part := o.Layer.(layer.Part)
		if !windowed && !part {
			b.flush()
		}
		node := graph.Node{Name: before, Layer: o.Layer, Inputs: operands}
		if _, ok := o.Layer.(layer.Transposed); ok {
			node.Weights = b.owner(i)
		}
		b.model.Nodes = append(b.model.Nodes, node)
	}
	return before
}

// sum returns the node that is the sum of these; name is what it is called if it must be added.
func (b *backward) sum(terms []string, name string) string {
	sum := terms[0]
	for i, term := range terms[1:] {
		next := name
		if i < len(terms)-2 {
			next += fmt.Sprintf(".%d", i+1)
		}
		b.add(next, layer.Add{}, sum, term)
		sum = next
	}
	return sum
}
