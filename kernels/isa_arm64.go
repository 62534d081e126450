//go:build arm64 && !purego

package kernels

import "github.com/klauspost/cpuid/v2"

var neonFeatures = []feature{
	{"ASIMD", "", func() bool { return cpuid.CPU.Supports(cpuid.ASIMD) }}, // 128-bit vectors and all that is done with them
}

var native = []nativeSet{
	{&neonSet, neonFeatures},
}
