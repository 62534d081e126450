// Package bench holds Firebench's benchmarks, all of them in its tests: the
// machine's peaks, single kernels, layers, stages of a network, whole networks, their
// compilation, and what it costs to start all threads on a layer and to wait for
// them. The shapes come from the models in firebench/net/models and from nowhere else.
//
//	go test -run '^$' -bench 'Net/net=squeezenet1.0$' ./bench
//
// Names are key=value pairs, net first and isa last, as benchstat and
// firebench/compare read them; the suffix is the number of threads. A pattern that
// matches no benchmark is an error. Only convolutions and dense layers have an algorithm:
// algo=direct in the name of another layer means nothing. Metrics:
//
//	GFLOP/s  two operations per multiply-add of the direct convolution, whichever algorithm ran
//	peak-%   GFLOP/s in percent of the FMA peak of the same instruction set and number of threads
//	fma-%    like peak-%, but of the multiply-adds that the algorithm executes, those of wasted lanes and tiles included
//	FLOP/B   the operations that GFLOP/s counts per byte of input, output and weights, each counted once
//	GB/s     bytes of input, output and weights, each counted once (dense layers, which memory limits)
//	read-%   GB/s in percent of the rate at which as many bytes are read and added up
//	pick     1 if the plan of a network would use this algorithm for the layer, 0 if another; where there are several
//
// The FMA peak and the rate of reading are measured right before and after each
// benchmark; their means count.
//
// Command bench/run records interleaved samples of the benchmarks.
package bench
