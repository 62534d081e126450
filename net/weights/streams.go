package weights

import (
	"fmt"
	"math"

	"firebench/net/graph"
)

// Streams are what [WriteFBW] makes of a layer, and how many bits each part takes.
type Streams struct {
	Node    string
	Weights int
	Zeros   int    // of the weights
	Kind    string // of values: "float32", "float16" or "codebook"
	Entries int    // of the codebook

	Codebook int64 // bits of the codebook, and of what says that there is one
	Values   int64 // bits of the weights, besides zeros that are skipped, and of the lengths of their codes
	Gaps     int64 // bits of what skips zeros, and of the lengths of its codes; 0 if no zeros are skipped
	Bias     int64 // bits of the biases, with all that belongs to them

	Codes      []byte // the entries of the weights if there is a codebook, those that Values are the codes for
	GapSymbols []byte // what Gaps are the codes for
}

// Bits returns the size of the layer in the file, without what the directory says about it, and without less than 16 bits that
// fill bytes.
func (s *Streams) Bits() int64 { return s.Codebook + s.Values + s.Gaps + s.Bias }

// StreamsOf returns what [WriteFBW] makes of each layer.
func StreamsOf(m *graph.Model, weights graph.Weights) ([]Streams, error) {
	m, err := weights.Adapt(m)
	if err != nil {
		return nil, err
	}
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	var list []Streams
	for _, p := range params {
		l, err := weights.Layer(p)
		if err == nil {
			err = checkLayer(l, biasOf(l, p), p)
		}
		if err != nil {
			return nil, fmt.Errorf("FBW: %s: layer %s: %w", m.Name, p.Node, err)
		}
		bias := choose(biasOf(l, p))
		list = append(list, streamsOf(p, l.Values, bias.size.sum()))
	}
	return list, nil
}

func streamsOf(p graph.Param, values []float32, bias int64) Streams {
	c := choose(values)
	s := Streams{
		Node: p.Node, Weights: len(values), Kind: kindNames[c.kind], Entries: len(c.codebook),
		Codebook: c.size.codebook, Values: c.size.values, Gaps: c.size.gaps, Bias: bias,
	}
	for _, v := range values {
		if isZero(v) {
			s.Zeros++
		}
	}
	entries := entriesOf(c.codebook)
	for symbol := range c.symbols(values) {
		if c.gaps {
			s.GapSymbols = append(s.GapSymbols, byte(symbol.gap))
			if isZero(symbol.value) {
				continue
			}
		}
		if c.kind == kindCodebook {
			s.Codes = append(s.Codes, entries[math.Float32bits(symbol.value)])
		}
	}
	return s
}
