// Package avx2 holds the kernels generated for AVX2 and FMA. Use them
// through package kernels, which knows whether the processor has it.
package avx2
