package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"firebench/kernels"
	"firebench/net/cli"
	"firebench/net/compression"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/models"
	"firebench/net/onnx"
	"firebench/net/tensor"
	"firebench/net/weights"
)

// seed makes every run use the same weights and images.
const seed = 1

// A network is what is computed by all, as files for them.
type network struct {
	name         string
	image        string // the file of the input, of one image
	computations []computation
}

// output is the file of an implementation's logits.
func (n network) output(impl string) string {
	return filepath.Join(filepath.Dir(n.image), impl+"-logits.npy")
}

// A computation is a network with values of one type.
type computation struct {
	typ    string
	model  string    // the file
	image  string    // the file of the input
	logits []float32 // or, of training, what the first step computes
	// quantization is how far logits are from those in float32, in parts of the largest: 0 in float32.
	quantization float64
}

// lookup returns a model and its weights by name: those of a file whose name ends in .onnx, else
// random ones, unless there is a file of weights.
func lookup(name, weightsFile string) (*graph.Model, graph.Weights, error) {
	if isFile(name) {
		return onnx.Open(name)
	}
	m, err := models.Lookup(name)
	if err != nil {
		return nil, nil, err
	}
	if weightsFile == "" {
		return m, weights.Random(seed), nil
	}
	w, err := weights.Open(weightsFile)
	if err != nil {
		return nil, nil, err
	}
	m, err = w.Adapt(m)
	return m, w, err
}

const (
	calibrationImages = 8  // that scales of int8 are found with
	candidateImages   = 64 // that the input is chosen from
)

// prepare writes the files of a network to dir, and computes what all have to compute.
func prepare(dir string, m *graph.Model, w graph.Weights, typs []string) (network, error) {
	n := network{name: m.Name, image: filepath.Join(dir, "input.npy")}
	infos, err := m.Infer()
	if err != nil {
		return network{}, err
	}
	for _, info := range infos {
		if info.Out.Type.Element != kernels.Float32 {
			return network{}, fmt.Errorf("%s: %s gives %v, expected a network in float32", m.Name, info.Name, info.Out.Type)
		}
	}
	p, err := graph.Compile(m, w, graph.Options{})
	if err != nil {
		return network{}, err
	}
	defer p.Close()
	deciding := p // whose answer must be clear
	var q *graph.Plan
	for _, typ := range typs {
		if typ == train {
			c, err := prepareTraining(dir, m, w)
			if err != nil {
				return network{}, err
			}
			n.computations = append(n.computations, c)
			continue
		}
		tm, tw := m, w
		if typ == cli.Int8 {
			if tm, tw, err = quantize(m, w); err != nil {
				return network{}, err
			}
			if q, err = graph.Compile(tm, tw, graph.Options{}); err != nil {
				return network{}, err
			}
			defer q.Close()
			deciding = q
		}
		c := computation{typ: typ, model: filepath.Join(dir, typ+".onnx"), image: n.image}
		if err := export(c.model, tm, tw); err != nil {
			return network{}, err
		}
		n.computations = append(n.computations, c)
	}
	in, err := choose(deciding)
	if err != nil {
		return network{}, err
	}
	if err := tensor.WriteNPYFile(n.image, tensor.FromView(in)); err != nil {
		return network{}, err
	}
	exact, err := logits(p, in)
	if err != nil {
		return network{}, err
	}
	for i := range n.computations {
		c := &n.computations[i]
		if c.typ == train {
			continue
		}
		c.logits = exact
		if c.typ == cli.Int8 {
			if c.logits, err = logits(q, in); err != nil {
				return network{}, err
			}
			c.quantization = distance(c.logits, exact) / magnitude(c.logits)
		}
	}
	return n, nil
}

// quantize returns the network in int8.
func quantize(m *graph.Model, w graph.Weights) (*graph.Model, graph.Weights, error) {
	calibration := func(yield func(kernels.View, error) bool) {
		for i := range calibrationImages {
			if !yield(image(m, i), nil) {
				return
			}
		}
	}
	c, err := compression.Calibrate(m, w, compression.Default, calibration, graph.Options{})
	if err != nil {
		return nil, nil, err
	}
	return compression.Quantize(c, compression.Options{}).Apply(m, w)
}

// image returns a random image.
func image(m *graph.Model, number int) kernels.View {
	return images(m, number, 1)
}

// images returns some random images.
func images(m *graph.Model, number, count int) kernels.View {
	v := kernels.NewView(m.Input.Type, count, m.Input.H, m.Input.W, m.Input.C, 0)
	r := rand.New(rand.NewPCG(seed, uint64(number)))
	for i := range kernels.Data[float32](v) {
		kernels.Data[float32](v)[i] = float32(r.NormFloat64() * 64) // the spread of pixels minus their mean
	}
	return v
}

// choose returns the image, of some, with the clearest answer. With random weights several classes may
// have the same logit in int8, and which one is the largest would mean nothing.
func choose(p *graph.Plan) (kernels.View, error) {
	var best kernels.View
	most := -1.0
	for i := range candidateImages {
		v := image(p.Model(), i)
		l, err := logits(p, v)
		if err != nil {
			return kernels.View{}, err
		}
		if d := margin(l) / magnitude(l); d > most {
			best, most = v, d
		}
	}
	if most < 0 {
		return kernels.View{}, fmt.Errorf("%s: its logits are no numbers", p.Model().Name)
	}
	return best, nil
}

// logits computes those of an image.
func logits(p *graph.Plan, in kernels.View) ([]float32, error) {
	if err := kernels.Copy(p.Input(), in); err != nil {
		return nil, err
	}
	if err := p.Run(); err != nil {
		return nil, err
	}
	return tensor.FromView(p.Logits()).Data, nil
}

// export writes the file of a model.
func export(path string, m *graph.Model, w graph.Weights) error {
	f, err := files.Create(path)
	if err != nil {
		return err
	}
	defer f.Discard()
	if err := onnx.Write(f, m, w); err != nil {
		return err
	}
	return f.Commit()
}
