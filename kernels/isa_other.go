//go:build !amd64 || purego

package kernels

// native is empty: this build has the scalar kernels only.
var native []nativeSet
