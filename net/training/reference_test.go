package training_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A reference computes the loss of a model of one image, and its gradients, in float64 and as they are
// defined. It shares no code with what it checks.
type reference struct {
	model   *graph.Model
	infos   []graph.Info
	weights map[string][]float64 // by node: weights, then biases
	masks   map[string][]float64 // by dropout
	target  []float64
}

// owner returns the name of the node whose weights node i uses.
func (r *reference) owner(i int) string {
	return cmp.Or(r.model.Nodes[i].Weights, r.model.Nodes[i].Name)
}

// args returns the places of node i's inputs among the values, of which 0 is the network's input.
func (r *reference) args(i int) []int {
	if len(r.model.Nodes[i].Inputs) == 0 {
		return []int{i}
	}
	var args []int
	for _, name := range r.model.Nodes[i].Inputs {
		args = append(args, 1+slices.IndexFunc(r.infos, func(n graph.Info) bool { return n.Name == name }))
	}
	return args
}

// A window is a kernel that moves over an image: that of a convolution or of a pooling.
type window struct {
	kh, kw, stride int
	pad            kernels.Padding
}

// each calls f for all pixels of the image in the window of output oy, ox.
func (w window) each(in layer.Shape, oy, ox int, f func(y, x, tap int)) {
	for i := range w.kh {
		for j := range w.kw {
			y, x := oy*w.stride-w.pad.Top+i, ox*w.stride-w.pad.Left+j
			if y >= 0 && y < in.H && x >= 0 && x < in.W {
				f(y, x, i*w.kw+j)
			}
		}
	}
}

// multiply calls f for all products of a convolution: output, input and weight.
func multiply(l layer.Weighted, in, out layer.Shape, f func(o, i, w int)) {
	s := l.ConvShape(in)
	w := window{s.KH, s.KW, s.Stride, s.Pad}
	ci, co := s.In/s.Groups, s.Out/s.Groups
	for oy := range out.H {
		for ox := range out.W {
			w.each(in, oy, ox, func(y, x, tap int) {
				for o := range s.Out {
					for i := range ci {
						f((oy*out.W+ox)*s.Out+o, (y*in.W+x)*s.In+o/co*ci+i, (o*ci+i)*s.KH*s.KW+tap)
					}
				}
			})
		}
	}
}

// average calls f for all terms of a mean, with its factor.
func average(l layer.Layer, in, out layer.Shape, f func(o, i int, factor float64)) {
	w := window{in.H, in.W, 1, kernels.Padding{}}
	exclude := false
	if p, ok := l.(layer.AvgPool); ok {
		w = window{p.Kernel, cmp.Or(p.KernelW, p.Kernel), cmp.Or(p.Stride, 1), p.Pad}
		exclude = p.ExcludePad
	}
	for oy := range out.H {
		for ox := range out.W {
			count := 0
			w.each(in, oy, ox, func(int, int, int) { count++ })
			if !exclude {
				rows := min(oy*w.stride+w.kh, w.pad.Top+in.H+w.pad.Bottom) - oy*w.stride
				cols := min(ox*w.stride+w.kw, w.pad.Left+in.W+w.pad.Right) - ox*w.stride
				count = rows * cols
			}
			w.each(in, oy, ox, func(y, x, _ int) {
				for c := range in.C {
					f((oy*out.W+ox)*in.C+c, (y*in.W+x)*in.C+c, 1/float64(count))
				}
			})
		}
	}
}

// maxima calls f for each output of a max pooling with the first of the window's largest inputs.
func maxima(p layer.MaxPool, x []float64, in, out layer.Shape, f func(o, i int)) {
	w := window{p.Kernel, cmp.Or(p.KernelW, p.Kernel), cmp.Or(p.Stride, 1), p.Pad}
	for oy := range out.H {
		for ox := range out.W {
			for c := range in.C {
				best := -1
				w.each(in, oy, ox, func(iy, ix, _ int) {
					if i := (iy*in.W+ix)*in.C + c; best < 0 || x[i] > x[best] {
						best = i
					}
				})
				f((oy*out.W+ox)*in.C+c, best)
			}
		}
	}
}

// forward returns all values for an input.
func (r *reference) forward(input []float64) [][]float64 {
	values := [][]float64{input}
	for i, n := range r.infos {
		out := make([]float64, n.Out.Elems())
		var args [][]float64
		for _, a := range r.args(i) {
			args = append(args, values[a])
		}
		x := args[0]
		switch l := n.Layer.(type) {
		case layer.Weighted:
			w := r.weights[r.owner(i)]
			biases := w[len(w)-n.Out.C:]
			for o := range out {
				out[o] = biases[o%n.Out.C]
			}
			multiply(l, n.In[0], n.Out, func(o, i, k int) { out[o] += x[i] * w[k] })
		case layer.ReLU:
			for i := range out {
				out[i] = max(x[i], 0)
			}
		case layer.MaxPool:
			maxima(l, x, n.In[0], n.Out, func(o, i int) { out[o] = x[i] })
		case layer.AvgPool, layer.GlobalAvgPool:
			average(l, n.In[0], n.Out, func(o, i int, f float64) { out[o] += f * x[i] })
		case layer.LRN:
			for i := range out {
				out[i] = x[i] * math.Pow(lrnBase(l, x, i, n.Out.C), -float64(l.Beta))
			}
		case layer.Add:
			for i := range out {
				out[i] = x[i] + args[1][i]
			}
		case layer.Concat:
			first := 0
			for k, a := range args {
				c := n.In[k].C
				for i, v := range a {
					out[i/c*n.Out.C+first+i%c] = v
				}
				first += c
			}
		case layer.Dropout:
			for i := range out {
				out[i] = x[i]
				if m, ok := r.masks[n.Name]; ok {
					out[i] *= m[i]
				}
			}
		case layer.Softmax: // the loss is computed from its input
			copy(out, x)
		default:
			panic(fmt.Sprintf("no reference for %T", l))
		}
		values = append(values, out)
	}
	return values
}

// lrnBase returns what is raised to the power -Beta for value i.
func lrnBase(l layer.LRN, x []float64, i, channels int) float64 {
	sum := 0.0
	for j := max(i%channels-l.Size/2, 0); j <= min(i%channels+l.Size/2, channels-1); j++ {
		sum += x[i-i%channels+j] * x[i-i%channels+j]
	}
	return float64(l.K) + float64(l.Alpha)/float64(l.Size)*sum
}

// loss returns the cross-entropy, and its gradient by the logits.
func (r *reference) loss(logits []float64) (loss float64, gradient []float64) {
	sum, most, total := 0.0, slices.Max(logits), 0.0
	for _, v := range logits {
		sum += math.Exp(v - most)
	}
	for i, v := range logits {
		loss -= r.target[i] * (v - most - math.Log(sum))
		total += r.target[i]
	}
	for i, v := range logits {
		gradient = append(gradient, math.Exp(v-most)/sum*total-r.target[i])
	}
	return loss, gradient
}

// backward returns the loss and adds the gradients by the weights to grads.
func (r *reference) backward(input []float64, grads map[string][]float64) float64 {
	values := r.forward(input)
	loss, gradient := r.loss(values[len(values)-1])
	by := make([][]float64, len(values))
	for i := range values {
		by[i] = make([]float64, len(values[i]))
	}
	by[len(by)-1] = gradient
	for i := len(r.infos) - 1; i >= 0; i-- {
		n, g, args := r.infos[i], by[i+1], r.args(i)
		x, dx := values[args[0]], by[args[0]]
		switch l := n.Layer.(type) {
		case layer.Weighted:
			w := r.weights[r.owner(i)]
			dw := grads[r.owner(i)]
			if dw == nil {
				dw = make([]float64, len(w))
				grads[r.owner(i)] = dw
			}
			multiply(l, n.In[0], n.Out, func(o, i, k int) {
				dx[i] += g[o] * w[k]
				dw[k] += g[o] * x[i]
			})
			for o, v := range g {
				dw[len(w)-n.Out.C+o%n.Out.C] += v
			}
		case layer.ReLU:
			for i, v := range x {
				if v > 0 {
					dx[i] += g[i]
				}
			}
		case layer.MaxPool:
			maxima(l, x, n.In[0], n.Out, func(o, i int) { dx[i] += g[o] })
		case layer.AvgPool, layer.GlobalAvgPool:
			average(l, n.In[0], n.Out, func(o, i int, f float64) { dx[i] += f * g[o] })
		case layer.LRN:
			c := n.Out.C
			for i := range x {
				base, beta := lrnBase(l, x, i, c), float64(l.Beta)
				dx[i] += g[i] * math.Pow(base, -beta)
				for j := max(i%c-l.Size/2, 0); j <= min(i%c+l.Size/2, c-1); j++ {
					k := i - i%c + j
					dx[k] -= g[i] * x[i] * beta * math.Pow(base, -beta-1) * 2 * float64(l.Alpha) / float64(l.Size) * x[k]
				}
			}
		case layer.Add:
			for i, v := range g {
				dx[i] += v
				by[args[1]][i] += v
			}
		case layer.Concat:
			first := 0
			for k, a := range args {
				c := n.In[k].C
				for i := range by[a] {
					by[a][i] += g[i/c*n.Out.C+first+i%c]
				}
				first += c
			}
		case layer.Dropout:
			for i, v := range g {
				if m, ok := r.masks[n.Name]; ok {
					v *= m[i]
				}
				dx[i] += v
			}
		case layer.Softmax:
			copy(dx, g)
		}
	}
	return loss
}

// checkDifferences compares gradients with the finite differences of the loss, for some weights of each node.
func (r *reference) checkDifferences(t *testing.T, input []float64) {
	t.Helper()
	grads := map[string][]float64{}
	r.backward(input, grads)
	loss := func() float64 {
		v := r.forward(input)
		l, _ := r.loss(v[len(v)-1])
		return l
	}
	for node, w := range r.weights {
		for k := range 12 {
			i := k * (len(w) - 1) / 11
			const h = 1e-5
			old := w[i]
			w[i] = old + h
			up := loss()
			w[i] = old - h
			down := loss()
			w[i] = old
			if got, want := grads[node][i], (up-down)/(2*h); math.Abs(got-want) > 1e-6*(1+math.Abs(want)) {
				t.Errorf("reference gradient of %s weight %d is %g, finite differences say %g", node, i, got, want)
			}
		}
	}
}
