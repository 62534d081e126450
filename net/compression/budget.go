package compression

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/weights"
)

// A sharing is a layer that is being shared in the metric of its outputs.
type sharing struct {
	*compensation
	param   graph.Param
	weights kernels.Weights // before

	// sensitivity is by how much the network's probabilities change, as their divergence, for each unit of the squared
	// error of the layer's outputs.
	sensitivity float64
}

// compensated shares the values of all layers in the metric of their outputs.
func (o ShareOptions) compensated(m *graph.Model, w graph.Weights, layers map[graph.Param]sharedLayer) error {
	infos, err := m.Infer()
	if err != nil {
		return err
	}
	if IsQuantized(infos) {
		return errors.New("share: the network is quantized, expected float32 to calibrate with images")
	}
	images, err := keep(m, o.Images)
	if err != nil {
		return err
	}
	readers, err := readersOf(m)
	if err != nil {
		return err
	}
	w = adaptedWeights{w, nil}
	// The network as it is says what bits cost in each layer.
	price := 0.0 // of a bit
	sensitivity := map[graph.Param]float64{}
	if o.Bytes > 0 {
		sharings, err := o.sharings(m, w, nil, readers, images)
		if err != nil {
			return err
		}
		if err := o.measure(m, w, sharings, images); err != nil {
			return err
		}
		if price, err = o.spend(m, sharings, startPrice); err != nil {
			return err
		}
		for _, s := range sharings {
			sensitivity[s.param] = s.sensitivity
		}
	}
	// Then layers are shared in their order, those with the same input together.
	now := adaptedWeights{w, map[graph.Param]kernels.Weights{}}
	var all []*sharing
	for len(readers) > 0 {
		n := 1
		for n < len(readers) && readers[n].input == readers[0].input {
			n++
		}
		var shared graph.Weights
		if len(all) > 0 {
			shared = now
		}
		sharings, err := o.sharings(m, w, shared, readers[:n], images)
		if err != nil {
			return err
		}
		for _, s := range sharings {
			s.sensitivity = sensitivity[s.param]
			s.share(o, price)
			l := s.layer(s.weights)
			now.other[s.param] = kernels.Weights{Values: l.values(), Bias: l.bias}
		}
		all = append(all, sharings...)
		readers = readers[n:]
	}
	if o.Bytes > 0 {
		if _, err := o.spend(m, all, price); err != nil {
			return err
		}
	}
	for _, s := range all {
		l := s.layer(s.weights)
		layers[s.param] = l
		e := s.error()
		o.Done(SharedLayer{Node: s.param.Node, Values: len(l.table) - 1, Error: fraction(e, s.variance()), Divergence: e * s.sensitivity})
	}
	return nil
}

// sharings returns layers that are to be shared, with the weights w. Their inputs are computed with the weights now,
// or with w if that is nil.
func (o ShareOptions) sharings(m *graph.Model, w, now graph.Weights, readers []reader, images []kernels.View) ([]*sharing, error) {
	var before graph.Weights
	if now != nil {
		before = w
	} else {
		now = w
	}
	all, err := momentsOf(m, now, before, readers, images, o)
	if err != nil {
		return nil, err
	}
	var sharings []*sharing
	for i, r := range readers {
		l, err := w.Layer(r.param)
		if err == nil {
			err = checkValues(r.param, l)
		}
		if err != nil {
			return nil, err
		}
		l.Values, l.Bias = slices.Clone(l.Values), slices.Clone(l.Bias)
		c := newCompensation(l, r.shape.K(), r.shape.Out/r.shape.Groups, all[i])
		sharings = append(sharings, &sharing{compensation: c, param: r.param, weights: l})
	}
	return sharings, nil
}

// keep returns copies of all images, which must be inputs of m.
func keep(m *graph.Model, images iter.Seq2[kernels.View, error]) (all []kernels.View, err error) {
	for v, err := range images {
		if err != nil {
			return nil, fmt.Errorf("image %d: %w", len(all), err)
		}
		c := kernels.NewView(m.Input.Type, 1, m.Input.H, m.Input.W, m.Input.C, 0)
		if err := kernels.Copy(c, v); err != nil {
			return nil, fmt.Errorf("image %d: %w", len(all), err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, errors.New("no images to calibrate with")
	}
	return all, nil
}

// adaptedWeights are weights of a model as it is, of which one layer may be another.
type adaptedWeights struct {
	graph.Weights
	other map[graph.Param]kernels.Weights
}

func (a adaptedWeights) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// Layer implements graph.Weights.
func (a adaptedWeights) Layer(p graph.Param) (kernels.Weights, error) {
	if w, ok := a.other[p]; ok {
		return w, nil
	}
	return a.Weights.Layer(p)
}

const (
	sensitivityImages = 32
	sensitivityValues = 31 // of a layer's codebook: coarse enough for an effect that is not rounding
)

// measure finds the sensitivities of all layers: one after the other is shared coarsely, and the network run.
func (o ShareOptions) measure(m *graph.Model, w graph.Weights, sharings []*sharing, images []kernels.View) error {
	if n := len(images); n > sensitivityImages {
		some := make([]kernels.View, sensitivityImages) // some of all classes, if the images are in their order
		for i := range some {
			some[i] = images[i*n/len(some)]
		}
		images = some
	}
	want, err := logits(m, w, images, o.plan())
	if err != nil {
		return err
	}
	for _, s := range sharings {
		s.start(o.Init, sensitivityValues, o.Seed)
		l := s.layer(s.weights)
		got, err := logits(m, adaptedWeights{w, map[graph.Param]kernels.Weights{s.param: {Values: l.values(), Bias: l.bias}}}, images, o.plan())
		if err != nil {
			return err
		}
		sum := 0.0
		for i := range images {
			sum += klDivergence(want[i], got[i])
		}
		if e := s.error(); e > 0 {
			s.sensitivity = max(sum/float64(len(images)), 1e-12) / e
		}
	}
	return nil
}

// logits returns the logits of each image. It is an error if one is not finite.
func logits(m *graph.Model, w graph.Weights, images []kernels.View, o graph.Options) ([][]float32, error) {
	plans, err := newPlans(m, w, o)
	if err != nil {
		return nil, err
	}
	defer plans.close()
	all := make([][]float32, len(images))
	if err := plans.run(images, func(i int, p *graph.Plan) {
		v := p.Logits()
		for y := range v.H {
			for x := range v.W {
				all[i] = append(all[i], kernels.Pixel[float32](v, 0, y, x)...)
			}
		}
	}); err != nil {
		return nil, err
	}
	for i := range all {
		for _, v := range all[i] {
			if v-v != 0 {
				return nil, fmt.Errorf("image %d: a logit is %g, expected a finite number", i, v)
			}
		}
	}
	return all, nil
}

// klDivergence returns the Kullback-Leibler divergence of the probabilities that belong to two vectors of logits.
func klDivergence(p, q []float32) float64 {
	sum := func(logits []float32) float64 { // the logarithm of what their exponentials are divided by
		most, sum := float64(slices.Max(logits)), 0.0
		for _, x := range logits {
			sum += math.Exp(float64(x) - most)
		}
		return most + math.Log(sum)
	}
	sp, sq := sum(p), sum(q)
	d := 0.0
	for i := range p {
		lp, lq := float64(p[i])-sp, float64(q[i])-sq
		d += math.Exp(lp) * (lp - lq)
	}
	return d
}

// price returns a price in nats of the network's probabilities in the layer's error.
func (s *sharing) price(price float64) float64 {
	if s.sensitivity == 0 {
		return 0 // it is without error
	}
	return price / s.sensitivity
}

// startPrice is a price at which squeezenet1.0 takes some 370,000 bytes.
const startPrice = 1e-7

// spend shares all layers within the budget of bytes, and returns the price at which they fit: one price of a bit for
// all layers, so that each has the bits that it is worth. It starts from a price.
func (o ShareOptions) spend(m *graph.Model, sharings []*sharing, price float64) (float64, error) {
	budget := float64(o.Bytes)
	type point struct{ logPrice, bytes float64 }
	at := func(logPrice float64) (*point, error) {
		w := &shared{m, map[graph.Param]sharedLayer{}}
		for _, s := range sharings {
			s.share(o, math.Exp(logPrice))
			w.layers[s.param] = s.layer(s.weights)
		}
		var bytes files.Counter
		err := weights.WriteFBW(&bytes, m, w)
		return &point{logPrice, float64(bytes)}, err
	}
	var low, high *point // with more bytes than the budget, and with no more
	x := math.Log(price)
	for range maxPrices {
		p, err := at(x)
		if err != nil {
			return 0, err
		}
		if p.bytes > budget {
			if high == nil && low != nil && x > low.logPrice+1 && p.bytes >= low.bytes {
				break // hardly any weights are left
			}
			low = p
		} else {
			all := low == nil && high != nil && p.bytes < 1.001*high.bytes // nothing more can be bought
			if all || p.bytes >= 0.998*budget {
				return math.Exp(x), nil
			}
			high = p
		}
		// Half the error takes half a bit of each weight: bytes are about linear in the logarithm of the price.
		target := 0.999 * budget
		if low != nil && high != nil {
			part := (low.bytes - target) / (low.bytes - high.bytes)
			x = low.logPrice + min(max(part, 0.1), 0.9)*(high.logPrice-low.logPrice)
		} else {
			step := 7 * (p.bytes/target - 1)
			x += math.Copysign(min(max(math.Abs(step), 0.1), 3), step)
		}
	}
	if high != nil { // small layers have no sizes in between
		_, err := at(high.logPrice)
		return math.Exp(high.logPrice), err
	}
	biases := 0
	for _, s := range sharings {
		biases += 4 * s.param.Dims[0]
	}
	return 0, fmt.Errorf("share: no weights fit a budget of %d bytes, of which biases take %d, expected a larger one", o.Bytes, biases)
}

const maxPrices = 12

// share shares the layer at a price of a bit, or at a lower one if all its weights would be zero: a network without a
// layer is of no use, and no file has one.
func (s *sharing) share(o ShareOptions, price float64) {
	for price = s.price(price); ; price /= 2 {
		s.start(o.Init, o.values(s.param.Node), o.Seed)
		some := len(s.table) > 0
		s.improve(price)
		if len(s.table) > 0 || !some {
			return
		}
	}
}
