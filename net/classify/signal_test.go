package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the command itself in the processes that TestSignals starts.
func TestMain(m *testing.M) {
	if os.Getenv("CLASSIFY_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestInterrupted ends the command while it waits for standard input.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	endless := readerFunc(func([]byte) (int, error) {
		cancel() // by now, the output file has been begun
		select {}
	})
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"-logits", filepath.Join(dir, "out.npy"), "-"}, endless, &stdout, &stderr)
	if status != 1 || stdout.Len() > 0 {
		t.Errorf("status %d, output %q, expected status 1 and none", status, &stdout)
	}
	checkLine(t, stderr.String(), "interrupted")
	checkEmpty(t, dir)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func checkEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left", e.Name())
	}
}

// TestSignals sends signals to the command, which has begun a file and waits for its input.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" || runtime.GOOS == "js" {
		t.Skip("no signals between processes")
	}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0], "-logits", filepath.Join(dir, "out.npy"), "-")
			cmd.Env = append(os.Environ(), "CLASSIFY_MAIN=1")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			if err := cmd.Start(); errors.Is(err, syscall.ENOEXEC) {
				t.Skip("emulated processes cannot start others")
			} else if err != nil {
				t.Fatal(err)
			}
			exited := make(chan error, 1)
			go func() { exited <- cmd.Wait() }()
			for begun := false; !begun; {
				select {
				case err := <-exited:
					t.Fatalf("the command has ended: %v, %s", err, &stderr)
				case <-time.After(time.Millisecond):
				}
				entries, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				begun = len(entries) > 0
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := <-exited; cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("%v, expected exit status 1", err)
			}
			checkLine(t, stderr.String(), "interrupted")
			checkEmpty(t, dir)
		})
	}
}
