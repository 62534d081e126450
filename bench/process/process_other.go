//go:build !unix

package process

import (
	"os/exec"
	"syscall"
)

// Group does nothing: where there are no process groups, a context kills the program that it was
// given to.
func Group(cmd *exec.Cmd, sig syscall.Signal) {}
