package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSignal: after an interrupt or a termination, nothing runs any more, temporary
// files are gone, and the complete sample is a record.
func TestSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			state := prepare(t)
			t.Setenv(hangVar, fmt.Sprint(invocationsPerSample(t)+2))
			cmd, stderr := subprocess("-count", "2", "-net", "squeezenet1.1")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if err := waitFor(filepath.Join(state, "pids")); err != nil {
				t.Error(err)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != 1 {
				t.Errorf("status %d: %s", status, stderr)
			}
			for _, pid := range strings.Fields(read(t, state, "pids")) {
				if !ends(pid) {
					t.Errorf("process %s is still there", pid)
					kill(pid)
				}
			}
			dirs := folders(t)
			if len(dirs) != 1 || !strings.Contains(stderr.String(), "1 of 2 samples are kept in "+dirs[0]) {
				t.Fatalf("folders %q: %s", dirs, stderr)
			}
			checkSamples(t, read(t, dirs[0], samplesFile), 1)
		})
	}
}

// TestDiskFull: what is complete before the disk is full is a record, without a
// part of a sample.
func TestDiskFull(t *testing.T) {
	prepare(t)
	if status, _, stderr := start(t.Context(), "-count", "1", "-net", "squeezenet1.1"); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	size := len(read(t, folders(t)[0], samplesFile))
	if err := os.RemoveAll("results"); err != nil {
		t.Fatal(err)
	}
	t.Setenv(limitVar, fmt.Sprint(size*5/2))
	cmd, stderr := subprocess("-count", "4", "-net", "squeezenet1.1")
	cmd.Run()
	if status := cmd.ProcessState.ExitCode(); status != 1 {
		t.Errorf("status %d: %s", status, stderr)
	}
	dirs := folders(t)
	if len(dirs) != 1 || !strings.Contains(stderr.String(), incompleteFile+": file too large; 2 of 4 samples are kept in "+dirs[0]) {
		t.Fatalf("folders %q: %s", dirs, stderr)
	}
	text := read(t, dirs[0], samplesFile)
	checkSamples(t, text, 2)
	if last := text[strings.LastIndex(strings.TrimSuffix(text, "\n"), "\n")+1:]; !strings.HasPrefix(last, "# 2 of 4 samples: ") {
		t.Errorf("the last line is %q", last)
	}
}

// subprocess is a process that runs the whole command.
func subprocess(args ...string) (*exec.Cmd, *strings.Builder) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), roleVar+"=run")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second // for programs that it should have ended
	return cmd, &stderr
}

// kill ends a process that should have ended.
func kill(pid string) {
	if n, err := strconv.Atoi(pid); err == nil {
		syscall.Kill(n, syscall.SIGKILL)
	}
}

// ends tells whether a process ends within some seconds. One that has ended may wait for
// its parent to take note of it.
func ends(pid string) bool {
	for range 500 {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
