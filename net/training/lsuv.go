package training

import (
	"fmt"
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/graph"
)

// LSUV returns weights for m to start training from, by layer-sequential unit-variance initialization: orthonormal
// ones, multiplied so that on some pictures the results of each layer have the variance 1. Biases are 0. See Mishkin and Matas,
// https://arxiv.org/abs/1511.06422. pictures are batch inputs of the network, batch×H×W×C.
func LSUV(m *graph.Model, seed uint64, pictures []float32, o graph.Options) (*Params, error) {
	p, err := NewParams(m, Initial(seed, func(graph.Param) Initializer { return Orthonormal }))
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Params, error) { return nil, fmt.Errorf("training: LSUV: %w", err) }
	if size := m.Input.Elems(); len(pictures) == 0 || len(pictures)%size != 0 {
		return fail(fmt.Errorf("pictures of %d values, expected a multiple of %d for %v", len(pictures), size, m.Input))
	}
	o.Batch = len(pictures) / m.Input.Elems()
	o.Algo = kernels.Algorithms()[0] // which has the same bits on all machines with vectors
	for i := range p.layers {
		v := &p.layers[i]
		variance, err := resultVariance(upTo(m, v.Node), p, pictures, o)
		if err != nil {
			return fail(err)
		}
		if !(variance > 0 && variance <= math.MaxFloat64) {
			return fail(fmt.Errorf("layer %s: its results have the variance %v, expected more than 0", v.Node, variance))
		}
		scale := 1 / math.Sqrt(variance)
		for j := range v.all[:v.weights()] {
			v.all[j] = float32(float64(v.all[j]) * scale)
		}
	}
	return p, nil
}

// resultVariance returns the variance of the results of m.
func resultVariance(m *graph.Model, p *Params, pictures []float32, o graph.Options) (float64, error) {
	plan, err := graph.Compile(m, part{p}, o)
	if err != nil {
		return 0, err
	}
	defer plan.Close()
	fill(plan.Input(), pictures)
	if err := plan.Run(); err != nil {
		return 0, err
	}
	sum, squares, n := 0.0, 0.0, 0
	eachPixel(plan.Output(), func(pixel []float32) {
		for _, x := range pixel {
			sum += float64(x)
			squares += float64(float64(x) * float64(x))
		}
		n += len(pixel)
	})
	mean := sum / float64(n)
	return squares/float64(n) - float64(mean*mean), nil
}

// fill writes values, all images one after the other, to v.
func fill(v kernels.View, values []float32) {
	eachPixel(v, func(pixel []float32) { values = values[copy(pixel, values):] })
}

// eachPixel calls f for the channels of each pixel of v.
func eachPixel(v kernels.View, f func(pixel []float32)) {
	for n := range v.N {
		for y := range v.H {
			for x := range v.W {
				f(kernels.Pixel[float32](v, n, y, x))
			}
		}
	}
}

// part are Params for a part of their model.
type part struct{ *Params }

// Adapt implements graph.Weights.
func (part) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// upTo returns the part of m that computes a node's result, which is the first of its outputs.
func upTo(m *graph.Model, node string) *graph.Model {
	nodes := inputsNamed(m)
	needed, read := map[string]bool{node: true}, map[string]bool{}
	for _, n := range slices.Backward(nodes) {
		if !needed[n.Name] {
			continue
		}
		for _, in := range n.Inputs {
			needed[in], read[in] = true, true
		}
		if n.Weights != "" {
			needed[n.Weights] = true
		}
	}
	c := &graph.Model{Name: m.Name, Input: m.Input, Outputs: []string{node}}
	for _, n := range nodes {
		if !needed[n.Name] {
			continue
		}
		c.Nodes = append(c.Nodes, n)
		if !read[n.Name] && n.Name != node { // only its weights are needed
			c.Outputs = append(c.Outputs, n.Name)
		}
	}
	return c
}

// inputsNamed returns the nodes of m, all with their inputs.
func inputsNamed(m *graph.Model) []graph.Node {
	nodes := m.Clone().Nodes
	before := graph.Input
	for i := range nodes {
		if len(nodes[i].Inputs) == 0 {
			nodes[i].Inputs = []string{before}
		}
		before = nodes[i].Name
	}
	return nodes
}
