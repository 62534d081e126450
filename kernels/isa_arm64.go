//go:build arm64 && !purego

package kernels

import "github.com/klauspost/cpuid/v2"

var neonFeatures = []feature{
	{"ASIMD", "", func() bool { return cpuid.CPU.Supports(cpuid.ASIMD) }}, // 128-bit vectors, their arithmetic included
}

var native = []nativeSet{
	{&neonSet, neonFeatures},
}
