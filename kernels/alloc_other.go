//go:build !linux

package kernels

// adviseHuge does nothing: it is known for Linux only how to ask for huge pages.
func adviseHuge([]byte) {}
