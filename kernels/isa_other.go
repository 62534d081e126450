//go:build !(amd64 || arm64) || purego

package kernels

// native is empty: this build has no kernels but the scalar ones.
var native []nativeSet
