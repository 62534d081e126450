package weights

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"

	"firebench/kernels"
	"firebench/net/graph"
)

// Random returns weights for any model: normally distributed with mean 0 and the
// standard deviation √(2/fan-in), which keeps activations at one scale from layer
// to layer (He et al., https://arxiv.org/abs/1502.01852), and biases with the
// standard deviation 0.01.
//
// A layer's values depend on the seed, the layer's name and its dimensions alone, not on
// other layers, the order of calls or the number of processors.
//
// What Layer returns is valid until its next call, which uses its memory again
// unless its own layer is smaller than half of it. So the memory of a model's largest layer
// is not kept for small ones. The Weights must not be used by several goroutines at once.
func Random(seed uint64) graph.Weights { return &random{seed: seed} }

type random struct {
	seed          uint64
	weights, bias []float32
}

// biasDev is the standard deviation of biases. They are small, as networks are trained from
// biases of 0, but not 0, so that tests see whether they are added.
const biasDev = 0.01

// Adapt returns m: random weights fit every model.
func (r *random) Adapt(m *graph.Model) (*graph.Model, error) { return m, nil }

// Layer implements graph.Weights.
func (r *random) Layer(p graph.Param) (kernels.Weights, error) {
	fanIn := p.Dims[1] * p.Dims[2] * p.Dims[3]
	if p.Dims[0] < 1 || fanIn < 1 {
		return kernels.Weights{}, fmt.Errorf("weights: layer %s has no weights: %v", p.Node, p.Dims)
	}
	r.weights = resize(r.weights, p.Dims[0]*fanIn)
	r.bias = resize(r.bias, p.Dims[0])
	k := key(r.seed, p)
	normal(r.weights, k, math.Sqrt(2/float64(fanIn)))
	normal(r.bias, ^k, biasDev)
	return kernels.Weights{Values: r.weights, Bias: r.bias}, nil
}

// resize returns a slice of length n over the memory of s, or over new memory if the memory of s
// is too small or more than twice as large as needed.
func resize(s []float32, n int) []float32 {
	if n > cap(s) || n < cap(s)/2 {
		return make([]float32, n)
	}
	return s[:n]
}

// key hashes all that the values of a layer depend on.
func key(seed uint64, p graph.Param) uint64 {
	h := fnv.New64a()
	var b [8]byte
	put := func(v uint64) {
		binary.LittleEndian.PutUint64(b[:], v)
		h.Write(b[:])
	}
	put(seed)
	for _, d := range p.Dims {
		put(uint64(d))
	}
	h.Write([]byte(p.Node))
	return h.Sum64()
}

// normal fills s with normally distributed values of mean 0 and standard deviation
// dev. Each block of s has a stream of random numbers of its own, so any number of
// goroutines may fill the blocks, in any order, with the same result.
func normal(s []float32, key uint64, dev float64) {
	const block = 1 << 14
	blocks := (len(s) + block - 1) / block
	var next atomic.Int64
	fill := func() {
		var pcg rand.PCG
		r := rand.New(&pcg)
		for {
			i := int(next.Add(1) - 1)
			if i >= blocks {
				return
			}
			pcg.Seed(key, uint64(i))
			part := s[i*block : min((i+1)*block, len(s))]
			for j := range part {
				part[j] = float32(r.NormFloat64() * dev)
			}
		}
	}
	var wg sync.WaitGroup
	for range min(blocks, runtime.GOMAXPROCS(0)) - 1 {
		wg.Go(fill)
	}
	fill()
	wg.Wait()
}
