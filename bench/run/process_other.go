//go:build !unix

package main

import "os/exec"

// group does nothing: where there are no process groups, a context kills the
// program that it was given to.
func group(cmd *exec.Cmd) {}
