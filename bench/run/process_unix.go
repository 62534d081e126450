//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// group makes a program the first of a process group of its own, and its end by a context the end
// of the group. An interrupt from the keyboard goes to the group of this command alone,
// which then decides what happens.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
