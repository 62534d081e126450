package kernels_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// TestNoAllocations: no task allocates memory when it runs, on any number of threads, also with
// profiler labels.
func TestNoAllocations(t *testing.T) {
	labels := pprof.WithLabels(context.Background(), pprof.Labels("layer", "test"))
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for threads := 1; threads <= 3; threads++ {
			pool := workers.NewPool(threads)
			for name, task := range everyTask(t, set, threads) {
				// The helpers run at the same time as the caller only here: AllocsPerRun, below,
				// sets GOMAXPROCS to 1.
				allocs := mallocs(func() {
					for range 10 {
						pool.Run(labels, task)
					}
				})
				if allocs >= 10 {
					t.Errorf("%s, %d threads: %d allocations in 10 runs", name, threads, allocs)
				}
				if n := testing.AllocsPerRun(10, func() { pool.Run(labels, task) }); n != 0 {
					t.Errorf("%s, %d threads: %v allocations per run", name, threads, n)
				}
			}
			pool.Close()
		}
	})
}

// mallocs returns the number of allocations of the whole process while f runs.
// The runtime's own goroutines may add a few.
func mallocs(f func()) uint64 {
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// everyTask binds one task of every kind, with channels that fill no vector, a halo, and enough
// work for several chunks.
func everyTask(t *testing.T, set *kernels.Set, threads int) map[string]workers.Task {
	t.Helper()
	tasks := map[string]workers.Task{}
	add := func(name string, task workers.Task, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tasks[name] = task
	}
	const c = 37
	src, other := kernels.NewView(kernels.Type{}, 1, 28, 28, c, 1), kernels.NewView(kernels.Type{}, 1, 28, 28, c, 0)
	dst := kernels.NewView(kernels.Type{}, 1, 28, 28, c, 1)
	for _, s := range []kernels.ConvShape{
		{In: c, Out: 40, KH: 3, KW: 3, Stride: 1, Pad: kernels.Pad(1), Groups: 1},
		{In: c, Out: 81, KH: 1, KW: 1, Stride: 1, Pad: kernels.Pad(1), Groups: 1},
		{In: c, Out: 10, KH: 28, KW: 28, Stride: 1, Groups: 1},
	} {
		oh, ow := s.OutSize(src.H, src.W)
		op, err := newDirect(set, s, make([]float32, s.Weights()), nil, true)
		if err != nil {
			t.Fatal(err)
		}
		task, err := op.Bind(kernels.NewView(kernels.Type{}, 1, oh, ow, s.Out, 1), src, threads)
		add(fmt.Sprintf("convolution %d×%d", s.KH, s.KW), task, err)
		for _, algo := range sparseAlgorithms {
			op, err := pack(set, algo, s, src.H, src.W, prune(s, kerneltest.Random(1, s.Weights()), algo, 0.2), nil, true)
			if err != nil {
				t.Fatal(err)
			}
			task, err := op.Bind(kernels.NewView(kernels.Type{}, 1, oh, ow, s.Out, 1), src, threads)
			add(fmt.Sprintf("convolution %d×%d, %s", s.KH, s.KW, algo), task, err)
		}
	}
	for _, wt := range weightOnlyTypes {
		p := conv(28, 28, c, 10, 28, 1, 0, 1).problem()
		p.WeightsType = wt
		op, err := kernels.NewConv(set, kernels.Auto, p, kernels.Weights{Values: make([]float32, p.Weights())})
		if err != nil {
			t.Fatal(err)
		}
		task, err := op.Bind(kernels.NewView(kernels.Type{}, 1, 1, 1, 10, 1), src, threads)
		add(fmt.Sprintf("convolution with weights of type %v", wt), task, err)
	}
	q := qconv(conv(28, 28, c, 40, 3, 1, 1, 1), 3, 4).problem()
	qsrc, qdst := kernels.NewView(q.Src, 1, 28, 28, c, 1), kernels.NewView(q.Dst, 1, 28, 28, 40, 1)
	for _, algo := range kernels.Candidates(set, q) {
		op, err := kernels.NewConv(set, algo, q, kernels.Weights{Values: make([]float32, q.Weights())})
		if err != nil {
			t.Fatal(err)
		}
		task, err := op.Bind(qdst, qsrc, threads)
		add("quantized convolution, "+algo, task, err)
	}
	for _, k := range []int{1, 3} {
		add(fmt.Sprintf("quantized convolution %d×%d, rows", k, k), bindRows(t, set, conv(28, 28, c, 40, k, 1, 1, 1), threads), nil)
	}
	half := kernels.NewView(kernels.Type{}, 1, 14, 14, c, 1)
	pool := kernels.PoolShape{KH: 3, KW: 3, Stride: 2, Ceil: true}
	task, err := kernels.BindMaxPool(set, pool, half, src, threads)
	add("maximum pooling", task, err)
	task, err = kernels.BindAvgPool(set, pool, half, src, threads)
	add("average pooling", task, err)
	task, err = kernels.BindLRN(set, alexLRN(5), dst, src, threads)
	add("LRN", task, err)
	task, err = kernels.BindAdd(set, dst, src, other, true, threads)
	add("add", task, err)
	task, err = kernels.BindReLU(set, dst, src, threads)
	add("ReLU", task, err)
	task, err = kernels.BindMul(set, dst, src, other, threads)
	add("multiply", task, err)
	task, err = kernels.BindReLUGradient(set, dst, src, other, threads)
	add("gradient of ReLU", task, err)
	task, err = kernels.BindMaxPoolGradient(set, pool, dst, src, half, kernels.NewView(kernels.Type{}, 1, 14, 14, c, 0), threads)
	add("gradient of maximum pooling", task, err)
	task, err = kernels.BindAvgPoolGradient(set, pool, dst, half, threads)
	add("gradient of average pooling", task, err)
	task, err = kernels.BindLRNGradient(set, alexLRN(5), dst, src, other, threads)
	add("gradient of LRN", task, err)
	task, err = kernels.BindDilate(dst, half, 2, threads)
	add("dilation", task, err)
	logits, classes := kernels.NewView(kernels.Type{}, 3, 1, 1, c, 0), kernels.NewView(kernels.Type{}, 3, 1, 1, c, 0)
	task, err = kernels.BindCrossEntropy(kernels.NewView(kernels.Type{}, 3, 1, 1, 1, 0), logits, classes)
	add("cross-entropy", task, err)
	task, err = kernels.BindCrossEntropyGradient(kernels.NewView(kernels.Type{}, 3, 1, 1, c, 0), logits, classes)
	add("gradient of cross-entropy", task, err)
	task, err = kernels.BindCopy(dst, src, threads)
	add("copy", task, err)
	task, err = kernels.BindSoftmax(dst, src)
	add("softmax", task, err)

	view := func(size, halo int) kernels.View {
		return kernels.NewView(u8(1, 3), 1, size, size, c, halo)
	}
	qdst, qsrc, qhalf := view(28, 1), view(28, 1), view(14, 1)
	task, err = kernels.BindMaxPool(set, pool, qhalf, qsrc, threads)
	add("maximum pooling of quantized values", task, err)
	task, err = kernels.BindAvgPool(set, pool, qhalf, qsrc, threads)
	add("average pooling of quantized values", task, err)
	task, err = kernels.BindAdd(set, qdst, qsrc, view(28, 0), true, threads)
	add("add of quantized values", task, err)
	task, err = kernels.BindReLU(set, qdst, qsrc, threads)
	add("ReLU of quantized values", task, err)
	task, err = kernels.BindQuantize(set, qdst, src, threads)
	add("quantize", task, err)
	task, err = kernels.BindDequantize(set, dst, qsrc, threads)
	add("dequantize", task, err)
	return tasks
}
