package compression

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A reader is a layer with weights, and the value that it reads.
type reader struct {
	param graph.Param
	shape kernels.ConvShape
	in    layer.Shape
	input string
}

// readersOf returns the layers with weights of their own, in the order of the model. A layer whose weights others
// use as well is one reader, that of its own input.
func readersOf(m *graph.Model) ([]reader, error) {
	infos, err := m.Infer()
	if err != nil {
		return nil, err
	}
	params, err := m.Params()
	if err != nil {
		return nil, err
	}
	var all []reader
	for i, n := range m.Nodes {
		if len(all) < len(params) && params[len(all)].Node == n.Name {
			in := infos[i].In[0]
			all = append(all, reader{params[len(all)], infos[i].Layer.(layer.Weighted).ConvShape(in), in, inputsOf(m, i)[0]})
		}
	}
	return all, nil
}

// inputsOf returns the names of what node i reads.
func inputsOf(m *graph.Model, i int) []string {
	switch n := m.Nodes[i]; {
	case len(n.Inputs) > 0:
		return n.Inputs
	case i > 0:
		return []string{m.Nodes[i-1].Name}
	}
	return []string{graph.Input}
}

// until returns the part of a model that computes some values, its outputs.
func until(m *graph.Model, values []string) *graph.Model {
	part := m.Clone()
	part.Nodes, part.Outputs = nil, values
	needed := map[string]bool{}
	for _, v := range values {
		needed[v] = true
	}
	for i := len(m.Nodes) - 1; i >= 0; i-- {
		n := m.Nodes[i]
		if !needed[n.Name] {
			continue
		}
		n.Inputs = inputsOf(m, i)
		for _, in := range append([]string{n.Weights}, n.Inputs...) {
			needed[in] = true
		}
		part.Nodes = append(part.Nodes, n)
	}
	slices.Reverse(part.Nodes)
	if !needed[part.Head] {
		part.Head = ""
	}
	return part
}

// parallel calls f with the numbers from 0 to n-1, on as many goroutines as there are processors. What a call does
// must not depend on the others.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				f(i)
			}
		})
	}
	wg.Wait()
}

// plans are copies of one plan, so that several images are computed at once, each on one thread. No result depends
// on their number.
type plans []*graph.Plan

func newPlans(m *graph.Model, w graph.Weights, o graph.Options) (plans, error) {
	if len(m.Nodes) == 0 {
		return nil, nil // nothing is to be computed
	}
	o.Threads, o.Batch, o.KeepAll = 1, 1, false
	var all plans
	for range runtime.GOMAXPROCS(0) {
		p, err := graph.Compile(m, w, o)
		if err != nil {
			all.close()
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func (all plans) close() {
	for _, p := range all {
		p.Close()
	}
}

// run computes all images, and calls f with the number of each and the plan that has its values, which is nil if there
// is nothing to compute, on several goroutines at once.
func (all plans) run(images []kernels.View, f func(i int, p *graph.Plan)) error {
	free := make(chan *graph.Plan, max(1, len(all)))
	for _, p := range all {
		free <- p
	}
	if len(all) == 0 {
		free <- nil
	}
	errs := make([]error, len(images))
	parallel(len(images), func(i int) {
		p := <-free
		defer func() { free <- p }()
		if p != nil {
			if errs[i] = kernels.Copy(p.Input(), images[i]); errs[i] == nil {
				errs[i] = p.Run()
			}
		}
		if errs[i] == nil {
			f(i, p)
		}
	})
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("image %d: %w", i, err)
		}
	}
	return nil
}

const (
	windowsOfImage = 60   // that are taken of each image, or all if there are fewer
	imagesAtOnce   = 16   // whose windows are in memory together
	maxBlock       = 1024 // weights of an output that compensate each other, see moments
)

// moments are the second-order statistics of some inputs of a layer over many windows: of those that an output
// channel reads, or of a block of them if they are many, because the covariance of all would take too much memory.
type moments struct {
	group      int // of the output channels that read the inputs
	first      int // the place of the first among the inputs of a channel
	mean       []float64
	covariance *mat.SymDense

	// Of the same windows in the network as it was, nil if the inputs are those.
	meanBefore []float64
	cross      *mat.Dense // the covariance of each input with each input as it was
}

// momentsOf returns the moments of the inputs of some layers over random windows of all images, by layer. The inputs
// are those with the weights w; before are the weights of the network as it was, nil if it is the same.
func momentsOf(m *graph.Model, w, before graph.Weights, readers []reader, images []kernels.View, o ShareOptions) ([][]*moments, error) {
	all := make([][]*moments, len(readers))
	var values []string
	for i, r := range readers {
		if r.input != graph.Input && !slices.Contains(values, r.input) {
			values = append(values, r.input)
		}
		k := r.shape.K()
		for group := range r.shape.Groups {
			for first := 0; first < k; first += maxBlock {
				n := min(maxBlock, k-first)
				ms := &moments{group: group, first: first, mean: make([]float64, n), covariance: mat.NewSymDense(n, nil)}
				if before != nil {
					ms.meanBefore, ms.cross = make([]float64, n), mat.NewDense(n, n, nil)
				}
				all[i] = append(all[i], ms)
			}
		}
	}
	part := until(m, values)
	now, err := newPlans(part, w, o.plan())
	if err != nil {
		return nil, err
	}
	defer now.close()
	var then plans
	if before != nil {
		if then, err = newPlans(part, before, o.plan()); err != nil {
			return nil, err
		}
		defer then.close()
	}
	for from := 0; from < len(images); from += imagesAtOnce {
		some := images[from:min(from+imagesAtOnce, len(images))]
		rows, err := now.windows(readers, some, from, o.Seed)
		if err != nil {
			return nil, err
		}
		var old [][][]float64
		if before != nil {
			if old, err = then.windows(readers, some, from, o.Seed); err != nil {
				return nil, err
			}
		}
		for i, r := range readers {
			for _, ms := range all[i] {
				k := r.shape.K()
				addMean(ms.mean, rows[i][ms.group], ms.first, k)
				addProducts(ms.covariance.RawSymmetric().Data, rows[i][ms.group], rows[i][ms.group], ms.first, len(ms.mean), k)
				if before != nil {
					addMean(ms.meanBefore, old[i][ms.group], ms.first, k)
					addProducts(ms.cross.RawMatrix().Data, rows[i][ms.group], old[i][ms.group], ms.first, len(ms.mean), k)
				}
			}
		}
	}
	for i, r := range readers {
		for _, ms := range all[i] {
			ms.finish(float64(len(images) * r.windowsOf()))
			for _, mean := range slices.Concat(ms.mean, ms.meanBefore) {
				if mean-mean != 0 {
					return nil, fmt.Errorf("layer %s: the mean of an input is %g in the images, expected a finite number", r.param.Node, mean)
				}
			}
		}
	}
	return all, nil
}

// windowsOf returns how many windows are taken of an image.
func (r reader) windowsOf() int {
	oh, ow := r.shape.OutSize(r.in.H, r.in.W)
	return min(windowsOfImage, oh*ow)
}

// windows returns windows of the inputs of some layers, by layer and group. The first image has the number from, on
// which depends which windows are taken.
func (all plans) windows(readers []reader, images []kernels.View, from int, seed uint64) ([][][]float64, error) {
	windows := make([][][]float64, len(readers))
	for i, r := range readers {
		windows[i] = make([][]float64, r.shape.Groups)
		for group := range windows[i] {
			windows[i][group] = make([]float64, len(images)*r.windowsOf()*r.shape.K())
		}
	}
	err := all.run(images, func(i int, p *graph.Plan) {
		for j, r := range readers {
			v := images[i]
			if r.input != graph.Input {
				v, _ = p.Node(r.input)
			}
			for group, rows := range windows[j] {
				n := len(rows) / len(images)
				r.windows(rows[i*n:(i+1)*n], v, group, rand.New(rand.NewPCG(seed, uint64(from+i))))
			}
		}
	})
	return windows, err
}

// windows fills rows, which are zeros, with random windows of v: what one output channel of a group reads, in the
// order of its weights.
func (r reader) windows(rows []float64, v kernels.View, group int, random *rand.Rand) {
	s := r.shape
	oh, ow := s.OutSize(v.H, v.W)
	data := kernels.Data[float32](v)
	channels := s.In / s.Groups
	for i := range r.windowsOf() {
		if r.windowsOf() < oh*ow {
			i = random.IntN(oh * ow)
		}
		top, left := i/ow*s.Stride-s.Pad.Top, i%ow*s.Stride-s.Pad.Left
		for ky := range s.KH {
			for kx := range s.KW {
				y, x := top+ky, left+kx
				if y < 0 || y >= v.H || x < 0 || x >= v.W {
					continue // padding is zero
				}
				for c, value := range data[v.Index(0, y, x, group*channels):][:channels] {
					rows[(c*s.KH+ky)*s.KW+kx] = float64(value)
				}
			}
		}
		rows = rows[s.K():]
	}
}

// addMean adds to sum the numbers from first on of each row of k numbers.
func addMean(sum, rows []float64, first, k int) {
	for at := first; at < len(rows); at += k {
		for j, x := range rows[at : at+len(sum)] {
			sum[j] += x
		}
	}
}

// addProducts adds to sum the product of aᵀ and b, of the n columns from first on of rows of k numbers. If a is b, only
// the upper half is complete.
func addProducts(sum, a, b []float64, first, n, k int) {
	const tile = 96 // each is one sum: it does not matter on how many goroutines
	tiles := (n + tile - 1) / tile
	parallel(tiles*tiles, func(t int) {
		i, j := t/tiles*tile, t%tiles*tile
		if j < i && &a[0] == &b[0] {
			return
		}
		columns := func(rows []float64, from int) blas64.General {
			return blas64.General{Rows: len(rows) / k, Cols: min(tile, n-from), Stride: k, Data: rows[first+from:]}
		}
		x, y := columns(a, i), columns(b, j)
		blas64.Gemm(blas.Trans, blas.NoTrans, 1, x, y, 1, blas64.General{Rows: x.Cols, Cols: y.Cols, Stride: n, Data: sum[i*n+j:]})
	})
}

// finish turns the sums over so many windows into moments.
func (ms *moments) finish(windows float64) {
	for j := range ms.mean {
		ms.mean[j] /= windows
	}
	c := ms.covariance.RawSymmetric()
	for i, x := range ms.mean {
		for j, y := range ms.mean {
			c.Data[i*c.Stride+j] = c.Data[i*c.Stride+j]/windows - x*y
		}
	}
	if ms.cross == nil {
		return
	}
	for j := range ms.meanBefore {
		ms.meanBefore[j] /= windows
	}
	x := ms.cross.RawMatrix()
	for i, a := range ms.mean {
		for j, b := range ms.meanBefore {
			x.Data[i*x.Stride+j] = x.Data[i*x.Stride+j]/windows - a*b
		}
	}
}
