//go:build amd64 && !purego

package kernels

import "github.com/klauspost/cpuid/v2"

// has returns a function that reports whether the processor has a feature.
func has(id cpuid.FeatureID) func() bool {
	// Supports includes the check that the operating system saves the registers.
	return func() bool { return cpuid.CPU.Supports(id) }
}

var avx2Features = []feature{
	{"AVX", "avx", has(cpuid.AVX)},    // 256-bit loads, stores, max, add, multiply, divide, square root
	{"AVX2", "avx2", has(cpuid.AVX2)}, // arithmetic of integers
	{"FMA3", "fma", has(cpuid.FMA3)},  // fused multiply-add
	{"F16C", "", has(cpuid.F16C)},     // conversion of float16; all processors with AVX2 have it
	{"MMX+", "", has(cpuid.SSE)},      // prefetching; this is avo's name for it, and every amd64 processor has it
}

var avx512Features = append(avx2Features[:len(avx2Features):len(avx2Features)],
	feature{"AVX512F", "avx512f", has(cpuid.AVX512F)},    // 512-bit vectors, embedded broadcast, 32 registers
	feature{"AVX512BW", "avx512bw", has(cpuid.AVX512BW)}, // multiply-add of int16
)

var avx512VNNIFeatures = append(avx512Features[:len(avx512Features):len(avx512Features)],
	feature{"AVX512VNNI", "", has(cpuid.AVX512VNNI)}, // dot products of uint8 and int8, and of int16
)

var native = []nativeSet{
	{&avx2Set, avx2Features},
	{&avx512Set, avx512Features},
	{&avx512VNNISet, avx512VNNIFeatures},
}
