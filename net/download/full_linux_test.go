package main

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisk: where no more can be written, what has been stays. A limit on the size of files stands for
// a full disk; it is for the whole process, so this takes one of its own.
func TestFullDisk(t *testing.T) {
	s := newServer(t)
	if dir := os.Getenv("DOWNLOAD_FULL"); dir != "" {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100000, Max: 200000}); err != nil {
			t.Fatal(err)
		}
		_, stderr := s.fetch(t, dir, s.file())
		os.Stdout.WriteString(stderr)
		return
	}
	if testing.Short() {
		t.Skip("-short, as under emulation, where a program cannot start itself")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFullDisk$")
	cmd.Env = append(os.Environ(), "DOWNLOAD_FULL="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "net.bin.part: file too large; the next run goes on from byte 100000\n") {
		t.Fatalf("%v: %s", err, out)
	}
	wantNames(t, dir, "net.bin.part")
	s.fetch(t, dir, s.file())
	s.wantFile(t, dir)
	if len(s.ranges) != 1 || s.ranges[0] != "bytes=100000-" {
		t.Errorf("asked for %q", s.ranges)
	}
}
