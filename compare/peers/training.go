package main

import (
	"fmt"
	"path/filepath"
	"runtime"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/tensor"
	"firebench/net/training"
)

// A step of training is SGD on one batch by the cross-entropy, as PyTorch defines it. Image i is of class i, modulo the number
// of classes. Dropouts are left out, as each engine draws other masks. Only the first step has a learning rate above 0, so
// that the others compute with the same numbers, however many there are.
const (
	trainBatch = 32
	trainRate  = 0.01
)

var sgd = training.SGD{Form: training.PyTorch, Momentum: 0.9, WeightDecay: 2e-4, DecayBiases: true}

// prepareTraining writes the files for the training of a network to dir, and computes what the first step does.
func prepareTraining(dir string, m *graph.Model, w graph.Weights) (computation, error) {
	c := computation{typ: train, model: filepath.Join(dir, train+".onnx"), image: filepath.Join(dir, train+".npy")}
	if err := export(c.model, m, w); err != nil {
		return c, err
	}
	batch := tensor.FromView(images(m, 0, trainBatch))
	if err := tensor.WriteNPYFile(c.image, batch); err != nil {
		return c, err
	}
	e, err := newTrainer(job{model: m, weights: w, typ: train, image: batch})
	if err != nil {
		return c, err
	}
	defer e.trainer.Close()
	c.logits = e.logits()
	return c, nil
}

// trainer is the engine of this module that trains.
type trainer struct {
	job
	trainer *training.Trainer
	batch   training.Batch
	first   []float32
}

func newTrainer(j job) (*trainer, error) {
	m := j.model.Clone()
	for i, n := range m.Nodes {
		if _, ok := n.Layer.(layer.Dropout); ok {
			m.Nodes[i].Layer = layer.Dropout{}
		}
	}
	p, err := training.NewParams(m, j.weights)
	if err != nil {
		return nil, err
	}
	if len(j.image.Dims) != 4 {
		return nil, fmt.Errorf("images of %s, expected N×C×H×W", j.image.Shape())
	}
	v := kernels.NewView(m.Input.Type, j.image.Dims[0], m.Input.H, m.Input.W, m.Input.C, 0)
	if err := j.image.ToView(v); err != nil {
		return nil, err
	}
	rate := func(step int) float64 {
		if step == 0 {
			return trainRate
		}
		return 0
	}
	t, err := training.NewTrainer(p, training.Options{Threads: j.threads, Batch: v.N, SGD: sgd, Rate: rate})
	if err != nil {
		return nil, err
	}
	e := &trainer{job: j, trainer: t, batch: training.Batch{Input: kernels.Data[float32](v)}}
	for i := range v.N {
		e.batch.Labels = append(e.batch.Labels, i%t.Plan().Logits().C)
	}
	if e.first, err = e.step(); err != nil {
		t.Close()
		return nil, err
	}
	return e, nil
}

// step makes the first step. It returns the loss before, and by how much the weights and biases of each layer change.
func (e *trainer) step() ([]float32, error) {
	before, err := e.parameters()
	if err != nil {
		return nil, err
	}
	r, err := e.trainer.Step(e.batch)
	if err != nil {
		return nil, err
	}
	after, err := e.parameters()
	if err != nil {
		return nil, err
	}
	loss, _ := r.Mean()
	changes := []float32{float32(loss)}
	for i := range after {
		changes = append(changes, after[i]-before[i])
	}
	return changes, nil
}

// parameters returns a copy of all weights and biases.
func (e *trainer) parameters() ([]float32, error) {
	p := e.trainer.Params()
	list, err := p.Model().Params()
	if err != nil {
		return nil, err
	}
	var all []float32
	for _, param := range list {
		w, err := p.Layer(param)
		if err != nil {
			return nil, err
		}
		all = append(append(all, w.Values...), w.Bias...)
	}
	return all, nil
}

func (e *trainer) greet() greeting {
	isa, _ := kernels.Best() // with which NewTrainer has succeeded
	return greeting{runtime.Version(), fmt.Sprintf("training, instruction set %v, algorithms %s, GOMAXPROCS %d, batch %d, momentum %v, weight decay %v",
		isa, kernels.Auto, e.threads, len(e.batch.Labels), sgd.Momentum, sgd.WeightDecay)}
}

func (e *trainer) run() error {
	_, err := e.trainer.Step(e.batch)
	return err
}

func (e *trainer) logits() []float32              { return e.first }
func (e *trainer) profile(int) ([]profile, error) { return nil, nil }
