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
// algo=direct in the name of another layer means nothing.
//
// type=f32 is a network as its table has it, type=int8 the same quantized by package compression,
// with types from the image that the benchmarks run on. Their layers have the same names; those
// that convert values are in int8 alone. An instruction set that brings nothing new for a
// type has no benchmarks of it, because they would be another's: avx512-vnni has dot products
// of bytes, and what it does with float32 is measured with isa=avx512.
//
// BenchmarkSparse has layers most of whose weights are zero, at random places: density is the share that is
// kept, pattern=unstructured keeps single weights, in f32 alone, and pattern=vector those of an input for 32 output
// channels at a time. It shows up to which density the algorithms that skip zeros pay:
//
//	go test -run '^$' -bench 'Sparse/net=squeezenet1.0$/layer=conv10$' ./bench
//	go run ./bench/run -preset sparse    records them, and firebench/compare prints the break-even of each layer
//
// weights=f16 and weights=i8 of BenchmarkWeightsType is a float32 network whose layers that only read
// their weights, such as dense ones, keep them in memory as float16 or int8; with weights=f32 it is
// that of BenchmarkNet.
//
// Metrics of f32, and in brackets those of int8, whose operations are other ones:
//
//	GFLOP/s (GOP/s)  two operations per multiply-add of the direct convolution, whichever algorithm ran
//	peak-%           these in percent of the peak of the same instruction set, type and number of threads
//	fma-% (mac-%)    like peak-%, but of the multiply-adds that the algorithm executes, those of wasted lanes and tiles included
//	FLOP/B (OP/B)    the same operations per byte of input, output and weights, each counted once
//	GB/s             bytes of input, output and weights, each counted once (dense layers, which memory limits)
//	read-%           GB/s in percent of the rate at which as many bytes are read and added up
//	weights-error-%  how far the packed weights are from the network's, of the layer where that is most
//	pick             1 if the plan of a network would use this algorithm for the layer, 0 if another; where there are several
//
// The peak of f32, op=fma of BenchmarkPeak, is that of fused multiply-adds; the peak of int8,
// op=mac, is that of the integer multiply-adds that the direct convolution uses. The peaks and the
// rate of reading are measured right before and after each benchmark; their means count.
//
// FIREBENCH_MODEL=FILE.onnx measures the network in a file, with its weights, instead of those of package models:
//
//	FIREBENCH_MODEL=$PWD/file.onnx go test -run '^$' -bench Layer ./bench | tee bench.txt
//	go run ./compare -net file bench.txt
//
// A relative path is taken from the current folder, which is that of this package under go test, or from the one above
// it, the module's. net= is the network's name: that of the file, without .onnx, unless Firebench has written it and
// put a name into it. A network that is called like one of package models, but has other layers, is
// NAME.onnx. A float32 network is also measured in int8, one whose values are quantized in int8 alone. Lines
// "# layer" before the results say what firebench/compare must know of the network.
//
// Command bench/run records interleaved samples of the benchmarks.
package bench
