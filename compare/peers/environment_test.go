package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// testInstaller returns an installer with the pretended Python.
func testInstaller(t *testing.T) (*installer, *strings.Builder) {
	t.Helper()
	setUp(t)
	var said strings.Builder
	in, err := newInstaller(func(format string, args ...any) { said.WriteString(format + "\n") })
	if err != nil {
		t.Fatal(err)
	}
	return in, &said
}

// TestEnvironment: an environment is made once for its requirements, with their hashes.
func TestEnvironment(t *testing.T) {
	in, said := testInstaller(t)
	python, err := in.environment(t.Context(), "onnxruntime")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil || !strings.HasPrefix(python, in.root) {
		t.Errorf("%s: %v", python, err)
	}
	again, err := in.environment(t.Context(), "onnxruntime")
	if err != nil || again != python {
		t.Errorf("%s and again %s, %v", python, again, err)
	}
	installed := state(t, "installed")
	if len(installed) != 1 || strings.Count(said.String(), "installing") != 1 {
		t.Fatalf("installed %q, said %q", installed, said)
	}
	for _, flag := range []string{" --require-hashes ", " --no-deps ", " --only-binary :all: ", " -r "} {
		if !strings.Contains(installed[0], flag) {
			t.Errorf("installed by %q, without %s", installed[0], flag)
		}
	}
	other, err := in.environment(t.Context(), "openvino")
	if err != nil || other == python {
		t.Errorf("%s for other requirements, %v", other, err)
	}
	checkRoot(t, in, 2)
}

// checkRoot checks how many environments there are, and that there is nothing else.
func checkRoot(t *testing.T, in *installer, want int) {
	t.Helper()
	entries, err := os.ReadDir(in.root)
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^[a-z]+-[0-9a-f]{16}$`)
	for _, e := range entries {
		if !name.MatchString(e.Name()) {
			t.Errorf("%s is left", e.Name())
		}
	}
	if len(entries) != want {
		t.Errorf("%d environments, expected %d", len(entries), want)
	}
}

// TestEnvironmentFails: what cannot be installed leaves nothing, and the error says which package it is.
func TestEnvironmentFails(t *testing.T) {
	in, _ := testInstaller(t)
	t.Setenv(installVar, "onnxruntime")
	_, err := in.environment(t.Context(), "onnxruntime")
	if want := "python -m pip: exit status 1: ERROR: No matching distribution found for onnxruntime"; err == nil || err.Error() != want {
		t.Errorf("error %v, expected %s", err, want)
	}
	checkRoot(t, in, 0)

	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	cancel()
	if _, err := in.environment(ctx, "onnxruntime"); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("interrupted: error %v", err)
	}
	in.python = filepath.Join(t.TempDir(), "none")
	if _, err := in.environment(t.Context(), "onnxruntime"); err == nil {
		t.Error("no error without Python")
	}
}

// TestNotInstalled: peers that cannot be installed are skipped, each in a line.
func TestNotInstalled(t *testing.T) {
	path := setUp(t)
	args := []string{"-nets", path, "-threads", "1", "-types", "f32", "-rounds", "1", "-impls", "onnxruntime,openvino", "-o", "peers.txt"}
	t.Setenv(installVar, "onnxruntime")
	status, _, stderr := command(t.Context(), args...)
	if line := "peers: skipped onnxruntime, everywhere: python -m pip: exit status 1: ERROR: No matching distribution found for onnxruntime\n"; status != 0 || !strings.Contains(stderr, line) || strings.Count(stderr, "skipped") != 1 {
		t.Errorf("status %d, %q, expected %q", status, stderr, line)
	}
	t.Setenv("PATH", t.TempDir())
	status, _, stderr = command(t.Context(), args...)
	if status != 0 || strings.Count(stderr, "peers: skipped ") != 2 || !strings.Contains(stderr, "executable file not found") {
		t.Errorf("without Python: status %d, %q", status, stderr)
	}
}

// TestWorkerFiles: there is a worker for each peer, and all that it needs is pinned with a hash.
func TestWorkerFiles(t *testing.T) {
	program, err := workerFiles.ReadFile("workers/worker.py")
	if err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`^[A-Za-z0-9_.-]+==[^ ]+( *;[^\\]*)? *\\$`)
	hash := regexp.MustCompile(`^    --hash=sha256:[0-9a-f]{64}( \\)?$`)
	for _, p := range peers {
		if p.requirements == "" {
			if _, ok := engines[p.name]; !ok {
				t.Errorf("%s is an engine neither in Go nor in Python", p.name)
			}
			continue
		}
		if !strings.Contains(string(program), `"`+p.name+`": "engine_`) {
			t.Errorf("worker.py has no engine %s", p.name)
		}
		list, err := workerFiles.ReadFile("workers/requirements/" + p.requirements + ".txt")
		if err != nil {
			t.Error(err)
			continue
		}
		for line := range strings.Lines(string(list)) {
			line = strings.TrimSuffix(line, "\n")
			if !pinned.MatchString(line) && !hash.MatchString(line) && line != "--only-binary :all:" && !strings.HasPrefix(strings.TrimSpace(line), "#") && line != "" {
				t.Errorf("%s.txt: %q, expected a version or a hash", p.requirements, line)
			}
		}
	}
	dir := t.TempDir()
	path, err := writeWorkers(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
