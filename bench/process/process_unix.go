//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// Group makes a program the first of a process group of its own, and its end by a context the end of
// the group, by sig. An interrupt from the keyboard goes to the group of the caller alone, which then
// decides what happens.
func Group(cmd *exec.Cmd, sig syscall.Signal) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, sig) }
}
