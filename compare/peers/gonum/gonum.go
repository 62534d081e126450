// Package gonum runs networks as a Go program without assembly of its own would: values are C×H×W,
// and a convolution is one matrix product of gonum's BLAS, which uses as many threads as GOMAXPROCS,
// on the image's windows laid out as columns (im2col). It is what package kernels is compared with,
// and knows nothing of it but the descriptions of layers.
package gonum

import (
	"cmp"
	"fmt"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"

	"firebench/net/graph"
	"firebench/net/layer"
)

// A Net is a network in float32 with its weights and memory, good for one run at a time.
type Net struct {
	// Input is the image, C×H×W.
	Input []float32
	// Logits are the scores from which a softmax computes the network's result, or the result itself
	// without one. Run replaces them.
	Logits []float32

	steps   []func()
	columns []float32 // the windows of the convolution that runs
}

// Run computes the network. It allocates nothing itself.
func (n *Net) Run() {
	for _, step := range n.steps {
		step()
	}
}

// A value is what a node computes: its planes, one after the other.
type value struct {
	layer.Shape
	data []float32
}

func newValue(s layer.Shape) value { return value{s, make([]float32, s.Elems())} }

// area is the size of a plane.
func (v value) area() int { return v.H * v.W }

// plane returns channel c.
func (v value) plane(c int) []float32 { return v.data[c*v.area() : (c+1)*v.area()] }

// parameters are the weights of a layer, outputs by inputs and rows and columns of the kernel.
type parameters struct {
	matrix blas32.General
	bias   []float32
}

// New makes the network of a model and its weights. It fails where a layer is of a kind or a type that it
// does not know.
func New(m *graph.Model, w graph.Weights) (*Net, error) {
	m, err := w.Adapt(m)
	if err != nil {
		return nil, err
	}
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	owned, err := readWeights(m, w)
	if err != nil {
		return nil, err
	}
	n := &Net{}
	in := newValue(m.Input)
	n.Input = in.data
	values := map[string]value{graph.Input: in}
	last := graph.Input
	for i, node := range m.Nodes {
		names := node.Inputs
		if len(names) == 0 {
			names = []string{last}
		}
		last = node.Name
		var args []value
		for _, name := range names {
			args = append(args, values[name])
		}
		out := newValue(infos[i].Out)
		step, err := n.step(node.Layer, out, args, owned[cmp.Or(node.Weights, node.Name)])
		if err != nil {
			return nil, fmt.Errorf("gonum: %s: node %s: %w", m.Name, node.Name, err)
		}
		n.steps = append(n.steps, step)
		values[node.Name] = out
		n.Logits = out.data
		if _, ok := node.Layer.(layer.Softmax); ok {
			n.Logits = args[0].data
		}
	}
	return n, nil
}

// readWeights reads the weights of all layers, by the name of the node that owns them.
func readWeights(m *graph.Model, w graph.Weights) (map[string]parameters, error) {
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	owned := map[string]parameters{}
	for _, p := range params {
		l, err := w.Layer(p)
		if err != nil {
			return nil, err
		}
		k := p.Dims[1] * p.Dims[2] * p.Dims[3]
		owned[p.Node] = parameters{
			blas32.General{Rows: p.Dims[0], Cols: k, Stride: k, Data: append([]float32(nil), l.Values...)},
			append([]float32(nil), l.Bias...),
		}
	}
	return owned, nil
}

// step returns what computes out from args.
func (n *Net) step(l layer.Layer, out value, args []value, w parameters) (func(), error) {
	for _, v := range append(args, out) {
		if v.Type.Element != 0 {
			return nil, fmt.Errorf("it computes with %v, expected float32", v.Type)
		}
	}
	in := args[0]
	switch l := l.(type) {
	case layer.Conv:
		return n.conv(l, out, in, w), nil
	case layer.Dense:
		return func() { dense(out, in, w) }, nil
	case layer.ReLU:
		return func() { relu(out, in) }, nil
	case layer.MaxPool:
		return func() { maxPool(l, out, in) }, nil
	case layer.GlobalAvgPool:
		return func() { globalAvgPool(out, in) }, nil
	case layer.LRN:
		return lrn(l, out, in), nil
	case layer.Concat:
		return func() { concat(out, args) }, nil
	case layer.Add:
		return func() { add(out, args) }, nil
	case layer.Dropout:
		return func() { copy(out.data, in.data) }, nil
	case layer.Softmax:
		return func() { softmax(out, in) }, nil
	}
	return nil, fmt.Errorf("no layer %s here", l.Op())
}

// conv returns a convolution: for each group, the matrix of weights times that of columns.
func (n *Net) conv(l layer.Conv, out, in value, w parameters) func() {
	s := l.ConvShape(in.Shape)
	k, area := w.matrix.Cols, out.area()
	direct := s.KH == 1 && s.KW == 1 && s.Stride == 1 && area == in.area() // the image is the matrix
	if !direct && len(n.columns) < k*area {
		n.columns = make([]float32, k*area)
	}
	ins, outs := in.C/s.Groups, out.C/s.Groups
	return func() {
		for c := range out.C {
			fill(out.plane(c), w.bias[c])
		}
		for g := range s.Groups {
			columns := in.data[g*ins*in.area() : (g+1)*ins*in.area()]
			if !direct {
				columns = n.columns[:k*area]
				im2col(columns, l, out, in, g*ins, ins)
			}
			weights := w.matrix
			weights.Rows, weights.Data = outs, weights.Data[g*outs*k:(g+1)*outs*k]
			blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, weights,
				blas32.General{Rows: k, Cols: area, Stride: area, Data: columns}, 1,
				blas32.General{Rows: outs, Cols: area, Stride: area, Data: out.data[g*outs*area : (g+1)*outs*area]})
		}
	}
}

// im2col writes a row for each channel and place in the window: the value there of all windows.
func im2col(dst []float32, l layer.Conv, out, in value, first, channels int) {
	s := l.ConvShape(in.Shape)
	for c := range channels {
		plane := in.plane(first + c)
		for kh := range s.KH {
			for kw := range s.KW {
				for y := range out.H {
					row := dst[:out.W]
					dst = dst[out.W:]
					iy := y*s.Stride + kh - s.Pad.Top
					if iy < 0 || iy >= in.H {
						fill(row, 0)
						continue
					}
					src := plane[iy*in.W : (iy+1)*in.W]
					for x := range row {
						row[x] = 0
						if ix := x*s.Stride + kw - s.Pad.Left; ix >= 0 && ix < in.W {
							row[x] = src[ix]
						}
					}
				}
			}
		}
	}
}

func fill(s []float32, v float32) {
	for i := range s {
		s[i] = v
	}
}

func dense(out, in value, w parameters) {
	copy(out.data, w.bias)
	blas32.Gemv(blas.NoTrans, 1, w.matrix, blas32.Vector{N: len(in.data), Inc: 1, Data: in.data},
		1, blas32.Vector{N: len(out.data), Inc: 1, Data: out.data})
}

func relu(out, in value) {
	for i, v := range in.data {
		out.data[i] = max(v, 0)
	}
}

func maxPool(p layer.MaxPool, out, in value) {
	stride, width := cmp.Or(p.Stride, 1), cmp.Or(p.KernelW, p.Kernel)
	for c := range out.C {
		src, dst := in.plane(c), out.plane(c)
		for y := range out.H {
			y0 := y*stride - p.Pad.Top
			for x := range out.W {
				x0 := x*stride - p.Pad.Left
				top := float32(math.Inf(-1))
				for iy := max(y0, 0); iy < min(y0+p.Kernel, in.H); iy++ {
					for _, v := range src[iy*in.W+max(x0, 0) : iy*in.W+min(x0+width, in.W)] {
						if v > top {
							top = v
						}
					}
				}
				dst[y*out.W+x] = top
			}
		}
	}
}

func globalAvgPool(out, in value) {
	for c := range in.C {
		var sum float32
		for _, v := range in.plane(c) {
			sum += v
		}
		out.data[c] = sum / float32(in.area())
	}
}

// lrn returns the normalization that divides each value by the power 3/4, the only one that the layer
// has, of the squares of the channels around it, plane by plane.
func lrn(l layer.LRN, out, in value) func() {
	scales := make([]float32, in.area())
	return func() {
		for c := range in.C {
			fill(scales, l.K)
			for j := max(c-l.Size/2, 0); j <= min(c+l.Size/2, in.C-1); j++ {
				for i, v := range in.plane(j) {
					scales[i] += l.Alpha / float32(l.Size) * v * v
				}
			}
			dst := out.plane(c)
			for i, v := range in.plane(c) {
				root := math.Sqrt(float64(scales[i]))
				dst[i] = v / float32(root*math.Sqrt(root))
			}
		}
	}
}

func concat(out value, args []value) {
	dst := out.data
	for _, in := range args {
		dst = dst[copy(dst, in.data):]
	}
}

func add(out value, args []value) {
	copy(out.data, args[0].data)
	for _, in := range args[1:] {
		for i, v := range in.data {
			out.data[i] += v
		}
	}
}

// softmax takes the exponentials of differences, which cannot overflow.
func softmax(out, in value) {
	area := in.area()
	for i := range area {
		top := in.data[i]
		for c := range in.C {
			top = max(top, in.data[c*area+i])
		}
		var sum float64
		for c := range in.C {
			e := math.Exp(float64(in.data[c*area+i] - top))
			out.data[c*area+i] = float32(e)
			sum += e
		}
		for c := range in.C {
			out.data[c*area+i] = float32(float64(out.data[c*area+i]) / sum)
		}
	}
}
