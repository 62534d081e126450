//go:build amd64 && !purego

package kernels

import "github.com/klauspost/cpuid/v2"

func has(id cpuid.FeatureID) func() bool {
	// Supports includes the check that the operating system saves the registers.
	return func() bool { return cpuid.CPU.Supports(id) }
}

var avx2Features = []feature{
	{"AVX", "avx", has(cpuid.AVX)},    // 256-bit loads, stores, max, add, multiply, divide, square root
	{"AVX2", "avx2", has(cpuid.AVX2)}, // nothing yet: the float32 kernels need AVX and FMA3, the set is what its name says
	{"FMA3", "fma", has(cpuid.FMA3)},  // the multiply-add itself
	{"MMX+", "", has(cpuid.SSE)},      // avo's name for what prefetching needs; every amd64 has it
}

var avx512Features = append(avx2Features[:len(avx2Features):len(avx2Features)],
	feature{"AVX512F", "avx512f", has(cpuid.AVX512F)}, // 512-bit vectors, embedded broadcast, 32 registers
)

var native = []nativeSet{
	{&avx2Set, avx2Features},
	{&avx512Set, avx512Features},
}
