// Package bench holds Firebench's benchmarks, all of them in its tests: the
// machine's peaks, single kernels, layers, stages of a network, whole networks, their compilation, and
// the fork/join that stands between two layers. Their shapes come from the models in
// firebench/net/models and from nowhere else.
//
//	go test -bench 'Net/net=squeezenet1.0$' ./bench
//
// Names are key=value pairs, net first and isa last, as benchstat and
// firebench/compare read them; the suffix is the number of threads. Metrics:
//
//	GFLOP/s  two operations per multiply-add of the direct convolution, whatever algorithm ran
//	peak-%   of the FMA peak of the same instruction set and thread count, measured right before and after
//	fma-%    the same with the multiply-adds that the algorithm executes, wasted lanes and tiles included
//	FLOP/B   those operations per byte of input, output and weights, once each
//	GB/s     bytes of input, output and weights, once each (dense layers, which memory limits)
//	pick     1 if the rule picks this algorithm for the layer, 0 if another, where there are several
//	read-%   of the bandwidth of plainly reading as many bytes, measured right before and after
//
// Command bench/run records interleaved samples of them.
package bench
