//go:build arm64 && !purego

package kernels

import "github.com/klauspost/cpuid/v2"

// has returns a function that reports whether the processor has a feature.
func has(id cpuid.FeatureID) func() bool {
	return func() bool { return cpuid.CPU.Supports(id) }
}

var neonFeatures = []feature{
	{"ASIMD", "", has(cpuid.ASIMD)}, // 128-bit vectors, their arithmetic included
}

var neonDotProdFeatures = append(neonFeatures[:len(neonFeatures):len(neonFeatures)],
	feature{"ASIMDDP", "", has(cpuid.ASIMDDP)}, // sums of four products of bytes
)

var native = []nativeSet{
	{&neonSet, neonFeatures},
	{&neonDotProdSet, neonDotProdFeatures},
}
