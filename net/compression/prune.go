package compression

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// PruneOptions say which weights [Prune] makes zero. Exactly one of Density, Layers and Threshold is set.
//
// A density is the share of all weights of a layer, or of the model, that is kept at most: the largest. Of
// equals the first are kept.
type PruneOptions struct {
	Density   float64            // of all layers together
	Layers    map[string]float64 // the densities of some layers, by node; the others stay as they are
	Threshold float64            // weights are kept that are at least as large

	// Panel is 0 for single weights. Otherwise whole rows of kernel panels become zero: the weights of one
	// input channel, kernel row and column for Panel output channels that follow each other. Kernels that have
	// tiles of so many channels skip such a row; 32 channels serve all kernels, also those of quantized values. A
	// row is as large as the root mean square of its weights.
	Panel int
}

// Check returns an error unless o fits m: Layers must name nodes of it that have weights of their own.
func (o PruneOptions) Check(m *graph.Model) error {
	set := 0
	for _, is := range []bool{o.Density != 0, len(o.Layers) > 0, o.Threshold != 0} {
		if is {
			set++
		}
	}
	checkDensity := func(d float64) error {
		if !(d > 0 && d <= 1) {
			return fmt.Errorf("density is %v, expected more than 0 and at most 1", d)
		}
		return nil
	}
	var err error
	switch t := o.Threshold; {
	case set != 1:
		err = errors.New("expected one of a density, densities of layers and a threshold")
	case o.Density != 0:
		err = checkDensity(o.Density)
	case !(t >= 0 && t <= math.MaxFloat32):
		err = fmt.Errorf("threshold is %v, expected a number that is not negative", t)
	}
	if err == nil && (o.Panel < 0 || o.Panel > maxPanel) {
		err = fmt.Errorf("panels of %d output channels, expected 1 to %d (0: single weights)", o.Panel, maxPanel)
	}
	if err == nil {
		err = checkLayers(m, o.Layers, checkDensity)
	}
	if err != nil {
		return fmt.Errorf("prune: %w", err)
	}
	return nil
}

// maxPanel is more than any tile has columns.
const maxPanel = 1 << 10

// checkLayers returns an error unless each key names a node of m with weights of its own, and its value
// passes the check.
func checkLayers[T any](m *graph.Model, layers map[string]T, check func(T) error) error {
	params, err := m.Params()
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(layers) {
		if !slices.ContainsFunc(params, func(p graph.Param) bool { return p.Node == name }) {
			return fmt.Errorf("layer %s: no node of %s has this name and weights of its own", name, m.Name)
		}
		if err := check(layers[name]); err != nil {
			return fmt.Errorf("layer %s: %w", name, err)
		}
	}
	return nil
}

// Prune returns the rewrite that makes small weights zero. The model stays as it is. Biases are not pruned.
func Prune(o PruneOptions) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		p, err := newPruning(o, m, w)
		if err != nil {
			return nil, nil, fmt.Errorf("compression: %s: %w", m.Name, err)
		}
		return m, p, nil
	}
}

// A pruning is weights of which some are zero.
type pruning struct {
	graph.Weights
	units map[string]units // by layer
	cuts  map[string]cut
}

// A cut says which units of a layer are kept: those that are larger than the one with these bits, and the first
// so many that are equal to it.
type cut struct {
	bits  uint32
	equal int
}

func newPruning(o PruneOptions, m *graph.Model, w graph.Weights) (*pruning, error) {
	if err := o.Check(m); err != nil {
		return nil, err
	}
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	p := &pruning{w, map[string]units{}, map[string]cut{}}
	if p.units, err = unitsOf(m, o.Panel); err != nil {
		return nil, err
	}
	switch {
	case o.Threshold != 0:
		for _, param := range params {
			p.cuts[param.Node] = cut{math.Float32bits(float32(o.Threshold)), math.MaxInt}
		}
	case o.Density != 0:
		err = p.choose(params, o.Density)
	default:
		for _, param := range params {
			if density, ok := o.Layers[param.Node]; ok && err == nil {
				err = p.choose([]graph.Param{param}, density)
			}
		}
	}
	return p, err
}

// choose sets the cuts of some layers, so that together they have this density. Units count by their weights.
func (p *pruning) choose(params []graph.Param, density float64) error {
	total := 0
	for _, param := range params {
		total += size(param)
	}
	keep := int(math.Round(density * float64(total)))
	// The bits of sizes are in the order of the sizes. A count by their upper half, and one by the lower half of
	// those that are neither kept nor pruned for sure, find the cut with little memory in two passes.
	var bits uint32
	for _, half := range []struct{ shift, known int }{{16, 32}, {0, 16}} {
		counts := make([]int, 1<<16)
		for _, param := range params {
			if err := p.each(param, func(_ int, x uint32, weights int) {
				if uint64(x)>>half.known == uint64(bits)>>half.known {
					counts[x>>half.shift&0xffff] += weights
				}
			}); err != nil {
				return err
			}
		}
		i := len(counts) - 1
		for ; i > 0 && counts[i] <= keep; i-- {
			keep -= counts[i]
		}
		bits |= uint32(i) << half.shift
	}
	for _, param := range params {
		equal := 0
		if err := p.each(param, func(_ int, x uint32, weights int) {
			if x == bits && weights <= keep {
				keep -= weights
				equal++
			}
		}); err != nil {
			return err
		}
		p.cuts[param.Node] = cut{bits, equal}
	}
	return nil
}

// each calls f with the number, the size and the weights of each unit of a layer.
func (p *pruning) each(param graph.Param, f func(unit int, bits uint32, weights int)) error {
	w, err := p.Weights.Layer(param)
	if err == nil {
		err = checkValues(param, w)
	}
	if err != nil {
		return err
	}
	u := p.units[param.Node]
	for i := range u.count {
		bits, weights := u.size(w.Values, i)
		f(i, bits, weights)
	}
	return nil
}

// Layer implements graph.Weights.
func (p *pruning) Layer(param graph.Param) (kernels.Weights, error) {
	w, err := p.Weights.Layer(param)
	c, ok := p.cuts[param.Node]
	if err != nil || !ok {
		return w, err
	}
	if err := checkValues(param, w); err != nil {
		return w, err
	}
	w.Values = slices.Clone(w.Values)
	u := p.units[param.Node]
	for i := range u.count {
		bits, _ := u.size(w.Values, i)
		if bits == c.bits && c.equal > 0 {
			c.equal--
		} else if bits <= c.bits {
			u.clear(w.Values, i)
		}
	}
	return w, nil
}

// units are the parts of a layer's weights that are kept or pruned together: unit i has the weights of input
// tap i%k, for the output channels of panel i/k.
type units struct {
	count    int
	out, k   int // output channels of a group, and weights of each
	panel    int
	perGroup int // panels of a group
}

// unitsOf returns the units of all layers with weights of their own; panel is 0 for single weights.
func unitsOf(m *graph.Model, panel int) (map[string]units, error) {
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	all := map[string]units{}
	for _, n := range infos {
		l, ok := n.Layer.(layer.Weighted)
		if !ok {
			continue
		}
		s := l.ConvShape(n.In[0])
		u := units{out: s.Out / s.Groups, k: s.K(), panel: max(panel, 1)}
		u.perGroup = (u.out + u.panel - 1) / u.panel
		u.count = s.Groups * u.perGroup * u.k
		all[n.Name] = u
	}
	return all, nil
}

// rows returns the places of the first weight of unit i and behind its last, which are k apart.
func (u units) rows(i int) (first, end int) {
	panel, tap := i/u.k, i%u.k
	group, panel := panel/u.perGroup, panel%u.perGroup
	first = group*u.out + panel*u.panel
	end = group*u.out + min((panel+1)*u.panel, u.out)
	return first*u.k + tap, end*u.k + tap
}

// size returns the bits of the size of unit i, which are in the order of sizes, and how many weights it has.
func (u units) size(values []float32, i int) (bits uint32, weights int) {
	first, end := u.rows(i)
	if end-first == u.k {
		return math.Float32bits(values[first]) &^ (1 << 31), 1
	}
	sum := 0.0
	for j := first; j < end; j += u.k {
		sum += float64(values[j]) * float64(values[j])
		weights++
	}
	return math.Float32bits(float32(math.Sqrt(sum / float64(weights)))), weights
}

// clear makes the weights of unit i zero.
func (u units) clear(values []float32, i int) {
	first, end := u.rows(i)
	for j := first; j < end; j += u.k {
		values[j] = 0
	}
}

// A Mask says which weights of each layer may be other than zero, so that weights that were pruned can be
// trained without growing back.
type Mask map[string][]bool

// NewMask returns the mask of w: what is not zero.
func NewMask(m *graph.Model, w graph.Weights) (Mask, error) {
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	mask := Mask{}
	for _, p := range params {
		l, err := w.Layer(p)
		if err == nil {
			err = checkValues(p, l)
		}
		if err != nil {
			return nil, fmt.Errorf("compression: %s: %w", m.Name, err)
		}
		kept := make([]bool, len(l.Values))
		for i, v := range l.Values {
			kept[i] = v != 0
		}
		mask[p.Node] = kept
	}
	return mask, nil
}

// Apply makes those values of a layer zero, its weights or their gradients, that the mask does not keep. It
// panics if the layer has another number of weights, or is not in the mask.
func (mask Mask) Apply(node string, values []float32) {
	kept := mask[node]
	if len(kept) != len(values) {
		panic(fmt.Sprintf("compression: a mask of %d weights for %d of layer %s", len(kept), len(values), node))
	}
	for i, keep := range kept {
		if !keep {
			values[i] = 0
		}
	}
}
