// Package avx512vnni holds the kernels generated for AVX-512 with VNNI. Use them
// through package kernels, which knows whether the processor has it.
package avx512vnni
