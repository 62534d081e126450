package compression

import (
	"container/heap"
	"fmt"
	"math"

	"firebench/net/graph"
)

// A Size is what the weights of a layer take in a file that stores a codebook, Huffman-coded codes of the weights
// and Huffman-coded gaps, which count the zeros before each stored weight.
type Size struct {
	Node     string
	Weights  int // zeros included
	Nonzeros int
	Values   int // different ones that are not zero

	// Bytes. Without codebook, because there are more than 255 values, the codes are the weights themselves.
	Codes  int // with fillers, or with a code for zero and no gaps if that takes less
	Gaps   int
	Tables int // the codebook and the lengths of the Huffman codes
	Bias   int // in float32
}

// Total returns all bytes.
func (s Size) Total() int { return s.Codes + s.Gaps + s.Tables + s.Bias }

// Bits returns the bits of a code of fixed length for the values and zero.
func (s Size) Bits() int {
	return int(math.Ceil(math.Log2(float64(s.Values + 1))))
}

// Sizes returns the size of each layer of a model.
func Sizes(m *graph.Model, w graph.Weights) ([]Size, error) {
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	var sizes []Size
	for _, p := range params {
		l, err := w.Layer(p)
		if err == nil {
			err = checkValues(p, l)
		}
		if err != nil {
			return nil, fmt.Errorf("compression: %s: %w", m.Name, err)
		}
		sizes = append(sizes, newSize(p.Node, l.Values, len(l.Bias)))
	}
	return sizes, nil
}

// maxGap is the largest gap of a stored weight. Where more zeros follow each other, every 16th is stored as a filler.
const maxGap = 15

// newSize returns the size of a layer.
func newSize(node string, values []float32, biases int) Size {
	s := Size{Node: node, Weights: len(values), Bias: 4 * biases}
	counts := map[float32]int{}
	gaps := make([]int, maxGap+1)
	gap, fillers := 0, 0
	for _, v := range values {
		if v == 0 && gap < maxGap {
			gap++
			continue
		}
		gaps[gap]++
		gap = 0
		if v == 0 {
			fillers++
			continue
		}
		s.Nonzeros++
		counts[v]++
	}
	s.Values = len(counts)
	if s.Values > 255 {
		s.Codes, s.Gaps = 4*(s.Nonzeros+fillers), (s.Nonzeros+fillers+1)/2
		if 4*s.Weights < s.Codes+s.Gaps {
			s.Codes, s.Gaps = 4*s.Weights, 0
		}
		return s
	}
	symbols := []int{}
	for _, n := range counts {
		symbols = append(symbols, n)
	}
	bytes := func(bits int) int { return (bits + 7) / 8 }
	s.Codes, s.Gaps = bytes(huffmanBits(append(symbols, fillers))), bytes(huffmanBits(gaps))
	s.Tables = 4*s.Values + bytes(5*(s.Values+1)) + len(gaps)/2
	if plain := bytes(huffmanBits(append(symbols, s.Weights-s.Nonzeros))); plain < s.Codes+s.Gaps+len(gaps)/2 {
		s.Codes, s.Gaps = plain, 0
		s.Tables -= len(gaps) / 2
	}
	return s
}

// huffmanBits returns the length of a text in a Huffman code for it; counts say how often each symbol is in it.
// A text of one symbol takes a bit for each.
func huffmanBits(counts []int) int {
	h := &intHeap{}
	for _, n := range counts {
		if n > 0 {
			*h = append(*h, n)
		}
	}
	if h.Len() == 1 {
		return (*h)[0]
	}
	heap.Init(h)
	bits := 0
	for h.Len() > 1 {
		n := heap.Pop(h).(int)
		(*h)[0] += n
		bits += (*h)[0]
		heap.Fix(h, 0)
	}
	return bits
}

type intHeap []int

func (h intHeap) Len() int           { return len(h) }
func (h intHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h intHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *intHeap) Push(x any)        { *h = append(*h, x.(int)) }
func (h *intHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
