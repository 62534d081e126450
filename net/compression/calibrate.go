package compression

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"

	"firebench/kernels"
	"firebench/net/graph"
)

// Calibrate runs a network of float32 layers on images, and returns the types with which it can be
// quantized. Each image is a view of one input as the network expects it, which must not change until
// the next image is asked for. An error that images yields ends the calibration. Of the options,
// Batch and KeepAll do not matter.
//
// A value's type follows from the range that method gives it, widened to contain 0: Scale is a 255th
// of the range, so that the ends of it are integers, and Zero the integer that is closest to 0. Values
// of one type, such as the inputs of a concatenation and its result, have all their ranges together.
func Calibrate(m *graph.Model, w graph.Weights, method Method, images iter.Seq2[kernels.View, error], o graph.Options) (*Calibration, error) {
	fail := func(err error) (*Calibration, error) { return nil, fmt.Errorf("compression: %s: %w", m.Name, err) }
	if err := method.check(); err != nil {
		return fail(err)
	}
	seen, err := observe(m, w, method != MinMax, images, o)
	if err != nil {
		return fail(err)
	}
	return seen.calibration(method), nil
}

// observations are what the values of a network were in some images.
type observations struct {
	model  string
	values []value
	seen   map[string]*histogram // of the values whose nodes do not keep the type of their inputs
	images int
}

// observe runs a network on images. Without bins, the histograms have the range of values only.
func observe(m *graph.Model, w graph.Weights, withBins bool, images iter.Seq2[kernels.View, error], o graph.Options) (*observations, error) {
	o.Batch, o.KeepAll = 1, true
	p, err := graph.Compile(m, w, o)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	ob := &observations{model: p.Model().Name, seen: map[string]*histogram{}}
	if ob.values, err = valuesOf(p.Model()); err != nil {
		return nil, err
	}
	for _, v := range ob.values {
		if !v.keepsType {
			ob.seen[v.name] = newHistogram(withBins)
		}
	}
	for image, err := range images {
		if err == nil {
			err = ob.run(p, image)
		}
		if err != nil {
			return nil, fmt.Errorf("image %d: %w", ob.images, err)
		}
		ob.images++
	}
	if ob.images == 0 {
		return nil, errors.New("no images to calibrate with")
	}
	return ob, nil
}

// run adds one image to the observations.
func (ob *observations) run(p *graph.Plan, image kernels.View) error {
	if err := kernels.Copy(p.Input(), image); err != nil {
		return err
	}
	if err := p.Run(); err != nil {
		return err
	}
	var next atomic.Int64
	errs := make([]error, len(ob.values))
	var wg sync.WaitGroup
	for range p.Threads() {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < len(ob.values); i = int(next.Add(1) - 1) {
				name := ob.values[i].name
				h := ob.seen[name]
				if h == nil {
					continue
				}
				v, _ := p.Node(name)
				if err := h.addView(v); err != nil {
					errs[i] = fmt.Errorf("%s: %w", name, err)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the first in the order of the nodes
		}
	}
	return nil
}

// calibration returns the types by a method.
func (ob *observations) calibration(method Method) *Calibration {
	// Values of one type form a group. groups has the first of a value's group by name.
	groups := map[string]string{}
	first := func(name string) string {
		for groups[name] != name {
			name = groups[name]
		}
		return name
	}
	type span struct{ low, high float64 } // which contains 0
	ranges := map[string]*span{}
	for _, v := range ob.values {
		groups[v.name] = v.name
		r := &span{}
		if h := ob.seen[v.name]; h != nil {
			choose := methods[method].choose
			if v.score {
				choose = (*histogram).minMax
			}
			low, high := choose(h)
			r = &span{min(low, 0), max(high, 0)}
		}
		ranges[v.name] = r
		if !v.keepsType {
			continue
		}
		for _, in := range v.inputs {
			if a, b := first(in), first(v.name); a != b {
				groups[b] = a
				ranges[a].low, ranges[a].high = min(ranges[a].low, ranges[b].low), max(ranges[a].high, ranges[b].high)
			}
		}
	}
	c := &Calibration{Model: ob.model, Method: method, Images: ob.images}
	for _, v := range ob.values {
		r := ranges[first(v.name)]
		scale, zero := typeFor(r.low, r.high)
		c.Values = append(c.Values, Value{v.name, scale, zero})
	}
	return c
}

// typeFor returns the type for a range that contains 0.
func typeFor(low, high float64) (scale float32, zero int32) {
	const levels = 255
	scale = float32((high - low) / levels)
	if scale < 0x1p-126 {
		return 1, 0 // all numbers are 0, or too small for a scale
	}
	return scale, int32(math.RoundToEven(-low / float64(scale)))
}
