// Package neon holds the kernels generated for NEON, arm64's 128-bit vectors. Use
// them through package kernels, which knows whether the processor has it.
package neon
