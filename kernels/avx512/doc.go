// Package avx512 holds the kernels generated for AVX-512F and BW. Use them
// through package kernels, which knows whether the processor has it.
package avx512
