package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/onnx"
	"firebench/net/tensor"
	"firebench/net/weights"
)

// The variables by which the tests tell a process what it is to do.
const (
	roleVar     = "PEERS_TEST_ROLE"     // below
	stateVar    = "PEERS_TEST_STATE"    // folder of what pretended programs leave
	behaviorVar = "PEERS_TEST_BEHAVIOR" // of pretended workers: IMPL=BEHAVIOR,…
	installVar  = "PEERS_TEST_INSTALL"  // the package that cannot be installed
)

// TestMain lets the test binary play other roles than testing: the Firebench worker, which is the command
// itself, and, by roleVar, a Python that can install packages and run workers.
func TestMain(m *testing.M) {
	warmupTime = 0
	switch {
	case len(os.Args) > 1 && os.Args[1] == workerCommand:
		main()
	case os.Getenv(roleVar) == "python":
		pretend(os.Args[1:])
	default:
		os.Exit(m.Run())
	}
}

// pretend does what a Python would do, as far as this package asks for it.
func pretend(args []string) {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "pretended python:", err)
			os.Exit(3)
		}
	}
	line := strings.Join(args, " ")
	switch {
	case strings.HasPrefix(line, "-c "):
		fmt.Println("3.11")
	case strings.HasPrefix(line, "-m venv "):
		self, err := os.Executable()
		check(err)
		check(os.MkdirAll(filepath.Dir(venvPython(args[2])), 0o777))
		check(os.Symlink(self, venvPython(args[2])))
	case strings.HasPrefix(line, "-m pip "):
		note("installed", line)
		requirements := args[len(args)-1]
		text, err := os.ReadFile(requirements)
		check(err)
		if name := os.Getenv(installVar); name != "" && strings.Contains(string(text), name+"==") {
			fmt.Fprintf(os.Stderr, "Collecting %s\nERROR: No matching distribution found for %[1]s\n", name)
			os.Exit(1)
		}
	case strings.HasPrefix(line, "-E -s -B "):
		work(args[4], args[5:], check)
	default:
		check(fmt.Errorf("unexpected arguments %q", args))
	}
}

// note adds a line to a file of what pretended programs leave.
func note(name, line string) {
	f, err := os.OpenFile(filepath.Join(os.Getenv(stateVar), name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err == nil {
		_, err = fmt.Fprintln(f, line)
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// behavior is what a pretended worker is told to do.
func behavior(impl string) string {
	for _, b := range strings.Split(os.Getenv(behaviorVar), ",") {
		if name, what, _ := strings.Cut(b, "="); name == impl {
			return what
		}
	}
	return ""
}

// latencies are those that pretended workers claim, in nanoseconds; of others, 10 ms.
var latencies = map[string]float64{"firebench": 50e6, "onnxruntime": 20e6, "ncnn": 200e6}

// work is a pretended worker. It computes with Firebench.
func work(impl string, args []string, check func(error)) {
	what := behavior(impl)
	switch what {
	case "error":
		fmt.Println(`{"error": "ValueError: no such\noperator"}`)
		os.Exit(1)
	case "crash":
		fmt.Fprintln(os.Stderr, "first\nterminate called")
		os.Exit(7)
	case "end":
		os.Exit(0)
	case "garbage":
		fmt.Println("Loading…")
	case "hang":
		note("pids", fmt.Sprint(os.Getpid()))
		time.Sleep(time.Hour)
	}
	m, w, err := onnx.Open(args[0])
	check(err)
	image, err := tensor.ReadNPYFile(args[3])
	check(err)
	logits, err := compute(job{m, w, args[1], 1, image})
	check(err)
	switch {
	case what == "off":
		logits[0] += 0.1 * float32(magnitude(logits))
	case what == "nan":
		logits[0] = float32(math.NaN())
	case what == "short":
		logits = logits[1:]
	}
	check(tensor.WriteNPYFile(args[4], &tensor.Tensor{Dims: []int{len(logits)}, Data: logits}))
	fmt.Printf(`{"version": "1.2.3", "settings": "best, %s threads"}`+"\n", args[2])
	requests := 0
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		requests++
		var r request
		check(json.Unmarshal(in.Bytes(), &r))
		note("requests", impl+" "+in.Text())
		switch {
		case what == "mute" || what == "dull" && r.Profile > 0:
			time.Sleep(time.Hour)
		case what == "late crash" && requests == 4:
			os.Exit(7)
		case what == "few":
			fmt.Println(`{"ns": [1]}`)
		case what == "zero":
			fmt.Println(`{"ns": [1, 0, 1]}`)
		case r.Profile > 0:
			fmt.Println(`{"layers": [{"name": "conv", "op": "Conv", "ns": 12.5}]}`)
		default:
			ns := make([]float64, r.Calls)
			latency := cmp.Or(latencies[impl], 10e6)
			for i := range ns {
				ns[i] = latency * float64(i+1) / float64(len(ns)/2+1) // the median, the number is odd, is the latency
			}
			b, err := json.Marshal(map[string]any{"ns": ns})
			check(err)
			fmt.Printf("%s\n", b)
		}
	}
	note("ended", impl)
}

// compute returns what an engine has to compute before it is timed.
func compute(j job) ([]float32, error) {
	e, err := newFirebench(j)
	if err != nil {
		return nil, err
	}
	err = e.run()
	return e.logits(), err
}

// small is a network that takes no time.
func small() *graph.Model {
	return &graph.Model{Name: "small", Input: layer.Shape{H: 6, W: 5, C: 3}, Nodes: []graph.Node{
		{Name: "conv", Layer: layer.Conv{Out: 16, Kernel: 3}},
		{Name: "relu", Layer: layer.ReLU{}},
		{Name: "mean", Layer: layer.GlobalAvgPool{}},
		{Name: "prob", Layer: layer.Softmax{}},
	}}
}

// setUp puts a pretended Python in the place of the real one, and the user's cache and the working
// directory in empty folders. It returns the path of the file of a small network.
func setUp(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short, as under emulation, where a program cannot start itself")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, pythonName)); err != nil {
		t.Skip(err) // where users may not
	}
	cache := t.TempDir()
	t.Setenv("PATH", bin)
	t.Setenv("HOME", cache)
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("LocalAppData", cache)
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(roleVar, "python")
	t.Setenv(stateVar, t.TempDir())
	t.Chdir(t.TempDir())
	f, err := os.Create("small.onnx")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := onnx.Write(f, small(), weights.Random(seed)); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// state returns the lines of a file of what pretended programs have left.
func state(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(os.Getenv(stateVar), name))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}
