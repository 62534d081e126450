package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"firebench/net/training"
)

// TestFull: a run that cannot write its checkpoint, as on a full disk, ends in one line, and goes on from the one before
// when it can.
func TestFull(t *testing.T) {
	dir, whole := t.TempDir(), t.TempDir()
	args := []string{"-model", tinyFile(t, 2), "-data", pictures(t, 4), "-epochs", "3", "-batch", "4", "-o"}
	succeed(t, append(args, whole)...)
	ctx, cancel := context.WithCancel(t.Context())
	if status := run(ctx, append(args, dir), nil, &cancelling{io.Discard, cancel, 3}, io.Discard); status != 1 {
		t.Fatalf("status %d, expected 1 of an interrupt", status)
	}
	last := filepath.Join(dir, training.LastFile)
	old, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Skip(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	low := limit
	low.Cur = uint64(len(old) / 2)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		t.Skip(err)
	}
	status, _, stderr := runCommand(t, append(args, dir)...)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if status != 1 {
		t.Errorf("status %d, expected 1", status)
	}
	checkLine(t, stderr, dir, "safetensors: file too large")
	if now, err := os.ReadFile(last); err != nil || !bytes.Equal(now, old) {
		t.Errorf("the checkpoint before has changed: %v", err)
	}
	succeed(t, append(args, dir)...)
	if !maps.Equal(content(t, dir), content(t, whole)) {
		t.Error("the run ends in other files than one that was not stopped")
	}
}
