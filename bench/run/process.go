package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"firebench/bench/process"
)

// binaryName is the name of the built benchmarks, which the system must take for a program.
var binaryName = map[bool]string{false: "bench.test", true: "bench.test.exe"}[runtime.GOOS == "windows"]

// build builds the benchmarks.
func build(ctx context.Context, stderr io.Writer, path string) error {
	fmt.Fprintln(stderr, "building the benchmarks")
	_, err := command(ctx, stderr, stderr, "go", "test", "-c", "-o", path, "./bench")
	return err
}

// command runs a program to its end, and returns the processor time that it took. When
// ctx ends, so do the program and what it has started.
func command(ctx context.Context, stdout, stderr io.Writer, name string, args ...string) (worked time.Duration, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = 5 * time.Second // then it is killed
	process.Group(cmd, syscall.SIGTERM)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return 0, errors.New("interrupted")
		}
		return 0, fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}
