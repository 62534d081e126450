package compression

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// FactorizeOptions say which layers [Factorize] replaces. Exactly one of Ranks, Energy and Budget is set.
type FactorizeOptions struct {
	// Ranks has the ranks of some layers, by node; the others stay as they are.
	Ranks map[string]Rank

	// Energy, between 0 and 1, is the share of a layer's squared weights that its factors have at least.
	// Every layer gets the least rank with that energy, and stays as it is if that saves no multiply-adds.
	Energy float64

	// Budget, between 0 and 1, is the share of the cycles of all layers with weights that is left, by the
	// estimate of [kernels.Cycles] for one image. The ranks are chosen step by step, each of which loses the
	// least energy for the cycles that it saves, as a share of the layer's energy. Two layers get up to half the
	// break-even rank, as little is saved above it.
	Budget float64

	// Tucker says that Energy and Budget make three layers of one with a kernel, rather than a vertical and
	// a horizontal one. Kernels that move by more than one pixel always become three, because a layer
	// moves by the same number of pixels in both directions.
	Tucker bool

	Set     *kernels.Set // whose kernels factorize, and whose cycles Budget counts; nil: the best of the machine
	Threads int          // 0: GOMAXPROCS; the results are the same with any number
}

// A Rank is how many channels lie between the layers that a layer becomes. If Out is 0, there are two, with N
// channels between them. Otherwise there are three: the kernel reads N channels and computes Out.
type Rank struct{ N, Out int }

// String returns the rank as 64 or 64x48.
func (r Rank) String() string {
	if r.Out == 0 {
		return strconv.Itoa(r.N)
	}
	return fmt.Sprintf("%dx%d", r.N, r.Out)
}

// MarshalText returns what String returns.
func (r Rank) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what String returns.
func (r *Rank) UnmarshalText(text []byte) error {
	n, out, two := strings.Cut(string(text), "x")
	bad := func() error { return fmt.Errorf("rank %q, expected a number such as 64, or two such as 64x48", text) }
	var err error
	if r.N, err = strconv.Atoi(n); err != nil || r.N < 1 {
		return bad()
	}
	r.Out = 0
	if two {
		if r.Out, err = strconv.Atoi(out); err != nil || r.Out < 1 {
			return bad()
		}
	}
	return nil
}

// A FactorizedLayer is what became of a layer.
type FactorizedLayer struct {
	Node  string
	Rank  Rank    // zero if the layer stays as it is
	Error float64 // the norm of the difference of the weights to the original ones, relative to these

	// Before and After are what one image costs.
	Before, After kernels.Cost
}

// Factorize returns the rewrite that makes several smaller layers of one, by the largest singular values of
// its weights:
//
//   - A dense or 1×1 layer x becomes two, x.reduce, which has as many channels as the rank is, and x.expand. The
//     square roots of the singular values are in both.
//   - A layer with a k×l kernel that moves by one pixel becomes a vertical one, x.vertical with a k×1 kernel, and a
//     horizontal one, x.horizontal with a 1×l kernel (Jaderberg, Vedaldi and Zisserman, arXiv:1405.3866).
//   - A layer with a kernel becomes three, x.reduce, x.core with the kernel, and x.expand. This is Tucker's
//     decomposition of the channels, by higher-order orthogonal iteration (Kim et al., arXiv:1511.06530).
//
// The last of them has the bias, and an activation that follows is fused into it as it was into x. It is worth it
// for weights that a low rank comes close to: trained ones are such weights, random ones are not, and the error
// says so.
//
// The layers must be float32: quantize afterwards. The rewrite calls report, unless that is nil, for each layer
// in Ranks, or for each that could be factorized, in their order. It fails if o does not fit the network, see
// [FactorizeOptions.Check].
func Factorize(o FactorizeOptions, report func(FactorizedLayer)) graph.Rewrite {
	return func(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
		f, err := newFactoring(o, m, w)
		if err == nil {
			err = f.run(report)
		}
		if err == nil {
			_, err = f.model.Infer() // new names may be taken
		}
		if err != nil {
			return nil, nil, fmt.Errorf("compression: %s: factorize: %w", m.Name, err)
		}
		return f.model, factorized{w, f.weights}, nil
	}
}

// Check returns an error unless o fits m: Ranks must name layers that can be factorized, with ranks that cost
// no more multiply-adds than the layers do.
func (o FactorizeOptions) Check(m *graph.Model) error {
	_, err := o.targets(m)
	return err
}

// factorized are weights of which some are those of factors, by node.
type factorized struct {
	graph.Weights
	layers map[string]kernels.Weights
}

// Layer implements graph.Weights.
func (f factorized) Layer(p graph.Param) (kernels.Weights, error) {
	if w, ok := f.layers[p.Node]; ok {
		return w, nil
	}
	return f.Weights.Layer(p)
}

// A form is a way to make several layers of one.
type form uint8

const (
	pair    form = iota // of a dense or 1×1 layer
	spatial             // a vertical and a horizontal one
	tucker              // 1×1, the kernel, 1×1
)

// A target is a layer that can be factorized.
type target struct {
	graph.Info
	form   form
	param  graph.Param
	shape  kernels.ConvShape
	cycles int  // of the layer
	rank   Rank // or zero, if it is not known yet, or if the layer stays as it is

	candidates []candidate
	found      decomposition // the candidates' factors, except for tucker
}

// A candidate is a rank that a layer could have.
type candidate struct {
	rank   Rank
	loss   float64 // the share of the squared weights that is lost, or an upper bound of it
	macs   int64
	cycles int
}

// targets checks the options and returns the layers that they are about.
func (o FactorizeOptions) targets(m *graph.Model) ([]*target, error) {
	given := 0
	for _, is := range []bool{len(o.Ranks) > 0, o.Energy != 0, o.Budget != 0} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("expected one of ranks, an energy and a budget")
	}
	for _, share := range []struct {
		name string
		v    float64
	}{{"energy", o.Energy}, {"budget", o.Budget}} {
		if !(share.v >= 0 && share.v < 1) {
			return nil, fmt.Errorf("%s is %v, expected a number between 0 and 1", share.name, share.v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Ranks)) {
		if !slices.ContainsFunc(m.Nodes, func(n graph.Node) bool { return n.Name == name }) {
			return nil, fmt.Errorf("there is no layer %s", name)
		}
	}
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	var targets []*target
	for i, n := range m.Nodes {
		rank, named := o.Ranks[n.Name]
		if len(o.Ranks) > 0 && !named {
			continue
		}
		t, err := o.target(m, i, infos[i], rank)
		if err == nil && named {
			err = t.check()
		}
		if err != nil && named {
			return nil, fmt.Errorf("layer %s: %w", n.Name, err)
		}
		if err == nil {
			targets = append(targets, t)
		}
	}
	return targets, nil
}

// target returns node i of m as a target, or why it is none.
func (o FactorizeOptions) target(m *graph.Model, i int, info graph.Info, rank Rank) (*target, error) {
	for _, n := range m.Nodes {
		if n.Weights == info.Name {
			return nil, fmt.Errorf("node %s uses its weights as well", n.Name)
		}
	}
	if from := m.Nodes[i].Weights; from != "" {
		return nil, fmt.Errorf("its weights are those of %s", from)
	}
	t := &target{Info: info, rank: rank}
	switch l := info.Layer.(type) {
	case layer.Dense:
		t.shape = l.ConvShape(info.In[0])
	case layer.Conv:
		t.shape = l.ConvShape(info.In[0])
		if t.shape.KH > 1 || t.shape.KW > 1 {
			t.form = spatial
			if t.shape.Stride > 1 || o.Tucker || rank.Out > 0 {
				t.form = tucker
			}
		}
	default:
		return nil, fmt.Errorf("it is %s, expected a convolution or a dense layer", info.Layer.Op())
	}
	if in := info.In[0].Type; in != (kernels.Type{}) {
		return nil, fmt.Errorf("it computes with %v, expected %v: factorize before quantizing", in.Element, kernels.Float32)
	}
	if t.shape.Groups > 1 {
		return nil, fmt.Errorf("it has %d groups, expected 1", t.shape.Groups)
	}
	t.param = graph.Param{Node: info.Name, Dims: [4]int{t.shape.Out, t.shape.In, t.shape.KH, t.shape.KW}}
	return t, nil
}

// check returns an error if the layer cannot have its rank, or would cost more with it.
func (t *target) check() error {
	n, out := t.rank.N, t.rank.Out
	switch {
	case n < 1 || out < 0:
		return fmt.Errorf("rank is %v, expected at least 1", t.rank)
	case t.form == pair && out > 0:
		return fmt.Errorf("rank is %v, expected one number for %s", t.rank, t.Layer.Op())
	case t.form == tucker && out == 0:
		return fmt.Errorf("rank is %v, expected two numbers, such as %dx%d: the kernel moves by %d pixels",
			t.rank, n, n, t.shape.Stride)
	}
	cost, _, err := t.cost(t.rank, nil)
	if err != nil {
		return err
	}
	if even := t.breakEven(n); t.form != tucker && n > even {
		return fmt.Errorf("rank %d costs %d multiply-adds, more than the layer's %d; the break-even rank is %d",
			n, cost.MACs, t.Cost.MACs, even)
	} else if t.form == tucker && out > even {
		return fmt.Errorf("rank %v costs %d multiply-adds, more than the layer's %d; with %d channels before the kernel it breaks even at %d behind it",
			t.rank, cost.MACs, t.Cost.MACs, n, even)
	}
	return t.checkSize()
}

// checkSize returns an error if the rank is larger than any of the layer's weights can be.
func (t *target) checkSize() error {
	s, taps := t.shape, t.shape.KH*t.shape.KW
	n, out := min(s.In, t.rank.Out*taps), min(s.Out, t.rank.N*taps)
	if t.form != tucker {
		n, out = t.fullRank(), 0
	}
	if t.rank.N > n || t.rank.Out > out {
		return fmt.Errorf("rank is %v, expected at most %v", t.rank, Rank{n, out})
	}
	return nil
}

// fullRank returns the largest rank that the weights can have, if they become two layers.
func (t *target) fullRank() int {
	s := t.shape
	if t.form == spatial {
		return min(s.In*s.KH, s.Out*s.KW)
	}
	return min(s.K(), s.Out)
}

// breakEven returns the largest rank with which the layer costs no more multiply-adds than it does, or if it
// becomes three layers, the most channels behind the kernel that go with n before it.
func (t *target) breakEven(n int) int {
	// The multiply-adds grow by the same number with each channel.
	first, second := Rank{1, 0}, Rank{2, 0}
	if t.form == tucker {
		first, second = Rank{n, 1}, Rank{n, 2}
	}
	one, _, err1 := t.cost(first, nil)
	two, _, err2 := t.cost(second, nil)
	if err1 != nil || err2 != nil || one.MACs > t.Cost.MACs {
		return 0
	}
	return 1 + int((t.Cost.MACs-one.MACs)/(two.MACs-one.MACs))
}

// nodes returns the nodes that a layer becomes.
func (t *target) nodes(r Rank) []graph.Node {
	node := func(suffix string, l layer.Layer) graph.Node {
		return graph.Node{Name: t.Name + "." + suffix, Layer: l}
	}
	if d, ok := t.Layer.(layer.Dense); ok {
		return []graph.Node{node("reduce", layer.Dense{Out: r.N}), node("expand", d)}
	}
	c := t.Layer.(layer.Conv)
	expand := node("expand", layer.Conv{Out: c.Out, Kernel: 1})
	switch t.form {
	case pair:
		c.Out = r.N
		return []graph.Node{node("reduce", c), expand}
	case spatial:
		vertical, horizontal := c, c
		vertical.Out, vertical.KernelW = r.N, 1
		vertical.Pad.Left, vertical.Pad.Right = 0, 0
		horizontal.Kernel, horizontal.KernelW = 1, t.shape.KW
		horizontal.Pad.Top, horizontal.Pad.Bottom = 0, 0
		return []graph.Node{node("vertical", vertical), node("horizontal", horizontal)}
	}
	c.Out = r.Out
	return []graph.Node{node("reduce", layer.Conv{Out: r.N, Kernel: 1}), node("core", c), expand}
}

// cost returns what the nodes of a rank cost, and with a set of kernels the cycles.
func (t *target) cost(r Rank, set *kernels.Set) (cost kernels.Cost, cycles int, err error) {
	in := t.In[0]
	for _, n := range t.nodes(r) {
		out, err := n.Layer.OutShape([]layer.Shape{in})
		if err != nil {
			return kernels.Cost{}, 0, err
		}
		cost = cost.Add(n.Layer.Cost([]layer.Shape{in}))
		if set != nil {
			cycles += cyclesOf(set, n.Layer.(layer.Weighted), in)
		}
		in = out
	}
	return cost, cycles, nil
}

// cyclesOf estimates the cycles of a float32 layer.
func cyclesOf(set *kernels.Set, l layer.Weighted, in layer.Shape) int {
	return kernels.Cycles(set, kernels.Problem{ConvShape: l.ConvShape(in), H: in.H, W: in.W})
}

// A factoring is a model whose layers are being replaced.
type factoring struct {
	algebra
	FactorizeOptions
	model   *graph.Model
	old     graph.Weights
	targets []*target
	total   int // cycles of all layers with weights
	weights map[string]kernels.Weights
}

func newFactoring(o FactorizeOptions, m *graph.Model, w graph.Weights) (*factoring, error) {
	targets, err := o.targets(m)
	if err != nil {
		return nil, err
	}
	if o.Set == nil {
		best, err := kernels.Best()
		if err != nil {
			return nil, err
		}
		if o.Set, err = kernels.For(best); err != nil {
			return nil, err
		}
	}
	f := &factoring{algebra{o.Set, o.Threads}, o, m.Clone(), w, targets, 0, map[string]kernels.Weights{}}
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	for _, n := range infos {
		if l, ok := n.Layer.(layer.Weighted); ok {
			f.total += cyclesOf(f.set, l, n.In[0])
		}
	}
	for _, t := range targets {
		t.cycles = cyclesOf(f.set, t.Layer.(layer.Weighted), t.In[0])
	}
	return f, nil
}

// run chooses the ranks, unless they are given, and replaces the layers.
func (f *factoring) run(report func(FactorizedLayer)) error {
	if f.Budget > 0 {
		for _, t := range f.targets {
			if err := f.withWeights(t, f.explore); err != nil {
				return err
			}
		}
		if err := f.spend(); err != nil {
			return err
		}
	}
	for _, t := range f.targets {
		r := FactorizedLayer{Node: t.Name, Before: t.Cost, After: t.Cost}
		if f.Energy > 0 || t.rank.N > 0 {
			err := f.withWeights(t, func(t *target, w kernels.Weights) (err error) {
				if f.Energy > 0 {
					err = f.leastRank(t, w)
				}
				if err == nil && t.rank.N > 0 {
					r.Error, err = f.replace(t, w)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		if r.Rank = t.rank; t.rank.N > 0 {
			var err error
			if r.After, _, err = t.cost(t.rank, nil); err != nil {
				return err
			}
		}
		t.candidates, t.found = nil, decomposition{}
		if report != nil {
			report(r)
		}
	}
	return nil
}

// withWeights calls do with a target's weights, and names the layer in errors.
func (f *factoring) withWeights(t *target, do func(*target, kernels.Weights) error) error {
	w, err := f.old.Layer(t.param)
	if err == nil {
		err = w.Check(t.shape)
	}
	if err == nil {
		err = do(t, w)
	}
	if err != nil {
		return fmt.Errorf("layer %s: %w", t.Name, err)
	}
	return nil
}

// replace puts the factors of a target's weights in its place, and returns their error.
func (f *factoring) replace(t *target, w kernels.Weights) (float64, error) {
	var factors [][]float32
	var lost float64
	var err error
	if t.form == tucker {
		factors, lost, err = f.three(t, w.Values)
	} else {
		factors, lost, err = f.two(t, w.Values)
	}
	if err != nil {
		return 0, err
	}
	nodes := t.nodes(t.rank)
	for i, n := range nodes {
		factor := kernels.Weights{Values: factors[i]}
		if i == len(nodes)-1 {
			factor.Bias = slices.Clone(w.Bias)
		}
		f.weights[n.Name] = factor
	}
	if err := f.model.Replace(t.Name, nodes...); err != nil {
		return 0, err
	}
	if all := norm2(w.Values); all > 0 {
		return math.Sqrt(lost / all), nil
	}
	return 0, nil
}
