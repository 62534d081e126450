package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"firebench/bench/process"
	"firebench/compare/samples"
)

// workerFiles are the workers of the peers and, for each environment, its pinned and hashed packages.
//
//go:embed workers/*.py workers/requirements/*.txt
var workerFiles embed.FS

// installTime is how long an installation may take. Downloads are up to a hundred megabytes but for PyTorch, whose packages
// bring the libraries of graphics processors: these are three gigabytes.
const installTime = 30 * time.Minute

// An installer makes private Python environments, one for each list of requirements, so that the
// packages of peers cannot contradict each other.
type installer struct {
	root   string // the folder of all environments
	python string // the program that they come from
	say    func(format string, args ...any)
}

// pythonName is the name of Python's program.
var pythonName = map[bool]string{false: "python3", true: "python.exe"}[runtime.GOOS == "windows"]

// newInstaller returns the installer with the user's cache folder and the Python in the PATH.
func newInstaller(say func(format string, args ...any)) (*installer, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	python, err := exec.LookPath(pythonName)
	if err != nil {
		return nil, err
	}
	return &installer{filepath.Join(cache, "firebench", "peers"), python, say}, nil
}

// environment returns the Python program of the environment with the packages of
// workers/requirements/NAME.txt, which it makes unless it is there. An environment is made under
// another name, so that one that is there is complete.
func (in *installer) environment(ctx context.Context, name string) (python string, err error) {
	ctx, cancel := context.WithTimeout(ctx, installTime)
	defer cancel()
	requirements, err := workerFiles.ReadFile("workers/requirements/" + name + ".txt")
	if err != nil {
		return "", err
	}
	// An environment lives as long as the Python that it comes from.
	identity, err := in.run(ctx, in.python, "-c", "import platform, sys; print(sys.version, sys.prefix, platform.machine())")
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	hash.Write(requirements)
	hash.Write(identity)
	dir := filepath.Join(in.root, fmt.Sprintf("%s-%x", name, hash.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return venvPython(dir), nil
	}
	in.say("installing %s in %s", name, dir)
	if err := os.MkdirAll(in.root, 0o777); err != nil {
		return "", err
	}
	temp := fmt.Sprintf("%s.%08x.tmp", dir, rand.Uint32())
	defer os.RemoveAll(temp)
	if _, err := in.run(ctx, in.python, "-m", "venv", temp); err != nil {
		return "", err
	}
	list := filepath.Join(temp, "requirements.txt")
	if err := os.WriteFile(list, requirements, 0o666); err != nil {
		return "", err
	}
	// Hashes of all that is installed are in the list, and nothing is built: a build would run code
	// that has none.
	if _, err := in.run(ctx, venvPython(temp), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
		"--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", list); err != nil {
		return "", err
	}
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another process was faster
		return "", err
	}
	return venvPython(dir), nil
}

// run runs a program to its end and returns what it prints. An error has the last line that it
// complains with.
func (in *installer) run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	complaint := &tail{}
	cmd.Stdout, cmd.Stderr = &out, complaint
	cmd.WaitDelay = 5 * time.Second
	process.Group(cmd, syscall.SIGKILL)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%s %s: %w%s", filepath.Base(name), strings.Join(args[:min(2, len(args))], " "), err, complaint.suffix())
	}
	return out.Bytes(), nil
}

// venvPython is the program of an environment.
func venvPython(dir string) string {
	if runtime.GOOS == "windows" {
		return filepath.Join(dir, "Scripts", "python.exe")
	}
	return filepath.Join(dir, "bin", "python")
}

// writeWorkers writes the workers of the peers to a folder and returns the path of their program.
func writeWorkers(dir string) (string, error) {
	names, err := fs.Glob(workerFiles, "workers/*.py")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		data, err := workerFiles.ReadFile(name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), data, 0o666); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "worker.py"), nil
}

// A tail keeps the end of what a process writes to its standard error.
type tail struct{ text []byte }

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = append(t.text[:0], t.text[len(t.text)-tailSize:]...)
	}
	return len(p), nil
}

// suffix returns the last line for an error, ": " before it, or nothing.
func (t *tail) suffix() string {
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return ": " + samples.Clean(last)
	}
	return ""
}
