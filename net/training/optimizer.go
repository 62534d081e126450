package training

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/pprof"
	"slices"
	"strings"

	"firebench/kernels/workers"
)

// A Form is where the learning rate stands in the momentum V of a weight w with gradient g. It matters when the rate
// changes. It is written and read as text.
type Form uint8

const (
	// Caffe keeps steps: V = momentum·V + rate·g, w −= V.
	Caffe Form = iota

	// PyTorch keeps gradients: V = momentum·V + g, w −= rate·V.
	PyTorch
)

var formNames = []string{Caffe: "caffe", PyTorch: "pytorch"}

// String returns the name: caffe or pytorch.
func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return fmt.Sprintf("Form(%d)", uint8(f))
}

func (f Form) check() error {
	if int(f) >= len(formNames) {
		return fmt.Errorf("unknown form of momentum %v, expected %s", f, strings.Join(formNames, " or "))
	}
	return nil
}

// MarshalText returns the name.
func (f Form) MarshalText() ([]byte, error) { return []byte(f.String()), f.check() }

// UnmarshalText sets f to the form of that name.
func (f *Form) UnmarshalText(name []byte) error {
	at := slices.Index(formNames, string(name))
	if at < 0 {
		return fmt.Errorf("unknown form of momentum %q, expected %s", name, strings.Join(formNames, " or "))
	}
	*f = Form(at)
	return nil
}

// SGD is stochastic gradient descent with momentum. A step takes the average of the gradients of all images, shortens
// it to MaxNorm, adds WeightDecay·w to it, and then moves the weights as Form says. Nesterov's momentum looks ahead:
// it moves w by momentum times the new V besides what the step itself adds to V.
type SGD struct {
	Form        Form
	Momentum    float64 // from 0 to less than 1
	Nesterov    bool
	WeightDecay float64 // of the weights
	DecayBiases bool    // of the biases as well
	MaxNorm     float64 // of the gradient of all weights and biases together; 0: any
}

// Check returns an error for numbers that make no sense.
func (s SGD) Check() error {
	err := s.Form.check()
	switch {
	case err != nil:
	case !(s.Momentum >= 0 && s.Momentum < 1):
		err = fmt.Errorf("momentum is %v, expected at least 0 and less than 1", s.Momentum)
	case s.Nesterov && s.Momentum == 0:
		err = errors.New("momentum of Nesterov's kind is 0, expected more")
	case !(s.WeightDecay >= 0 && s.WeightDecay <= 1):
		err = fmt.Errorf("weight decay is %v, expected 0 to 1", s.WeightDecay)
	case !(s.MaxNorm >= 0 && s.MaxNorm <= math.MaxFloat32):
		err = fmt.Errorf("largest norm of the gradient is %v, expected more than 0 (0: any)", s.MaxNorm)
	}
	if err != nil {
		return fmt.Errorf("training: SGD: %w", err)
	}
	return nil
}

// An optimizer changes Params by SGD.
//
// All threads together compute what one would: weights are cut into fixed chunks, products are rounded before they
// are added, and sums of chunks are added in order.
type optimizer struct {
	SGD
	params   *Params
	factors  []float64   // of the rate, by layer; 0 for layers that stay as they are
	momentum [][]float32 // V of the values of each layer, or of its codebook and biases
	chunks   []chunk
	squares  []float64 // of the gradients, by chunk
	pool     *workers.Pool
	labels   context.Context

	// Of a step.
	gradients [][]float32 // sums over the images, by layer; nil for layers that stay as they are
	scale     float32     // of gradients
	rate      float64
	apply     bool // the step, instead of computing squares
}

// A chunk is a part of a layer's values: all biases, all weights that share values, or some other weights.
type chunk struct {
	layer, from, to int
	decay           float32
	shared          bool
}

// chunkSize is how many values are enough to be worth a thread's while.
const chunkSize = 1 << 14

// newOptimizer returns an optimizer whose momentum is 0. factor returns that of the rate by node.
func newOptimizer(p *Params, s SGD, factor func(node string) float64, pool *workers.Pool) (*optimizer, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	o := &optimizer{SGD: s, params: p, pool: pool, labels: pprof.WithLabels(context.Background(), pprof.Labels("net", p.model.Name, "layer", "update"))}
	for i := range p.layers {
		v := &p.layers[i]
		f := factor(v.Node)
		if !(f >= 0 && f <= math.MaxFloat32) {
			return nil, fmt.Errorf("training: layer %s: factor of the learning rate is %v, expected a number that is not negative", v.Node, f)
		}
		o.factors = append(o.factors, f)
		o.momentum = append(o.momentum, make([]float32, len(v.all)))
		if f == 0 {
			continue
		}
		n, decay := v.weights(), float32(s.WeightDecay)
		size := chunkSize
		if v.codes != nil {
			size = n
		}
		for from := 0; from < n; from += size {
			o.chunks = append(o.chunks, chunk{i, from, min(from+size, n), decay, v.codes != nil})
		}
		if !s.DecayBiases {
			decay = 0
		}
		o.chunks = append(o.chunks, chunk{i, n, len(v.all), decay, false})
	}
	if len(o.chunks) == 0 {
		return nil, fmt.Errorf("training: %s: all layers are frozen, expected one to train", p.model.Name)
	}
	o.squares = make([]float64, len(o.chunks))
	return o, nil
}

// step makes one step with the gradients of some images. norm is that of their average before it is shortened. If it is not
// finite, step changes nothing.
func (o *optimizer) step(gradients [][]float32, images int, rate float64) (norm float64) {
	o.gradients, o.rate, o.scale = gradients, rate, 1/float32(images)
	o.apply = false
	o.pool.Run(o.labels, o)
	sum := 0.0
	for _, s := range o.squares {
		sum += s
	}
	norm = math.Sqrt(sum) / float64(images)
	if norm-norm != 0 {
		return norm
	}
	if o.MaxNorm > 0 && norm > o.MaxNorm {
		o.scale = float32(o.MaxNorm / norm / float64(images))
	}
	o.apply = true
	o.pool.Run(o.labels, o)
	return norm
}

// Chunks implements workers.Task.
func (o *optimizer) Chunks() int { return len(o.chunks) }

// Chunk implements workers.Task.
func (o *optimizer) Chunk(_, i int) {
	c := o.chunks[i]
	v := &o.params.layers[c.layer]
	g := o.gradients[c.layer][c.from:c.to]
	if !o.apply {
		o.squares[i] = squares(g)
		return
	}
	u := update{
		nesterov: o.Nesterov, momentum: float32(o.Momentum), decay: c.decay, scale: o.scale,
		inner: 1, outer: float32(o.rate * o.factors[c.layer]),
	}
	if o.Form == Caffe {
		u.inner, u.outer = u.outer, 1
	}
	switch {
	case c.shared:
		u.shared(v, o.momentum[c.layer], g)
	case c.from < len(v.kept):
		u.masked(v.all[c.from:c.to], o.momentum[c.layer][c.from:c.to], g, v.kept[c.from:c.to])
	default:
		u.plain(v.all[c.from:c.to], o.momentum[c.layer][c.from:c.to], g)
	}
}

// squares returns the sum of the squares.
func squares(g []float32) float64 {
	var sums [4]float64 // several, as an addition waits for the one before
	for len(g) >= len(sums) {
		for i, x := range g[:len(sums)] {
			sums[i] += float64(float64(x) * float64(x))
		}
		g = g[len(sums):]
	}
	for _, x := range g {
		sums[0] += float64(float64(x) * float64(x))
	}
	return (sums[0] + sums[1]) + (sums[2] + sums[3])
}

// An update is what a step does to values. The rate is in inner or in outer, and the other one is 1: multiplying by 1
// changes no bit, so that both forms of momentum are one.
type update struct {
	nesterov                             bool
	momentum, decay, scale, inner, outer float32
}

// one returns a value and its V after a step with gradient g, which is averaged and decayed. The conversions are explicit
// because Go may otherwise compute a·b+c with one rounding, on some machines.
func (u *update) one(w, v, g float32) (float32, float32) {
	g = float32(u.inner * g)
	v = float32(u.momentum*v) + g
	step := v
	if u.nesterov {
		step = float32(u.momentum*v) + g
	}
	return w - float32(u.outer*step), v
}

// plain updates values w with momentum v by gradients g.
func (u *update) plain(w, v, g []float32) {
	v, g = v[:len(w)], g[:len(w)]
	for i := range w {
		w[i], v[i] = u.one(w[i], v[i], float32(u.scale*g[i])+float32(u.decay*w[i]))
	}
}

// masked is plain for weights of which only those that are kept change.
func (u *update) masked(w, v, g []float32, kept []bool) {
	v, g, kept = v[:len(w)], g[:len(w)], kept[:len(w)]
	for i := range w {
		if kept[i] {
			w[i], v[i] = u.one(w[i], v[i], float32(u.scale*g[i])+float32(u.decay*w[i]))
		}
	}
}

// shared updates the codebook of a layer, whose values have the sum of the gradients of the weights that share them,
// those of the decay included. See Han et al., Deep Compression, https://arxiv.org/abs/1510.00149, section 3.3.
func (u *update) shared(l *values, v, g []float32) {
	var sums [1 << 8]float64
	var counts [1 << 8]int
	for i, code := range l.codes {
		sums[code] += float64(float32(u.scale * g[i]))
		counts[code]++
	}
	for c := 1; c < len(l.codebook); c++ {
		w := l.codebook[c]
		decay := float32(u.decay*w) * float32(counts[c])
		l.codebook[c], v[c] = u.one(w, v[c], float32(sums[c])+decay)
	}
	for i, code := range l.codes {
		l.all[i] = l.codebook[code]
	}
}
