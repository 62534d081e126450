// Package neondotprod holds the kernels generated for NEON with dot products of bytes. Use
// them through package kernels, which knows whether the processor has them.
package neondotprod
