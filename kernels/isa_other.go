//go:build !(amd64 || arm64) || purego

package kernels

// native is empty: this build has the scalar kernels only.
var native []nativeSet
