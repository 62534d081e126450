package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"firebench/compare/peers/timings"
	"firebench/net/cli"
	"firebench/net/weights"
)

// command runs the command in this process.
func command(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errors strings.Builder
	status = run(ctx, args, strings.NewReader(""), &out, &errors)
	return status, out.String(), errors.String()
}

// TestCommand: with peers that tell known times, all that is measured is in the file and the tables.
func TestCommand(t *testing.T) {
	path := setUp(t)
	args := []string{"-nets", path, "-threads", "1", "-rounds", "3", "-impls", "onnxruntime,ncnn,ncnn-f32,gonum", "-layers", "-o", "peers.txt"}
	status, stdout, stderr := command(t.Context(), args...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	r, err := timings.ReadFile("peers.txt")
	if err != nil {
		t.Fatal(err)
	}
	f32, int8 := timings.Row{Net: "small", Type: "f32", Threads: 1}, timings.Row{Net: "small", Type: "int8", Threads: 1}
	if want := []timings.Row{f32, int8}; !slices.Equal(r.Rows, want) {
		t.Errorf("rows %v, expected %v", r.Rows, want)
	}
	if want := []string{"firebench", "onnxruntime", "ncnn", "ncnn-f32", "gonum"}; !slices.Equal(r.Impls, want) {
		t.Errorf("implementations %v, expected %v", r.Impls, want)
	}
	for row, want := range map[timings.Row]map[string][]timings.Sample{
		// 100 ms are 5 calls of 20 ms, and one of 200 ms.
		f32: {"onnxruntime": slices.Repeat([]timings.Sample{{Calls: 5, NS: 20e6}}, 3), "ncnn": slices.Repeat([]timings.Sample{{Calls: 1, NS: 200e6}}, 3)},
	} {
		for impl, samples := range want {
			if got := r.Samples[row][impl]; !slices.Equal(got, samples) {
				t.Errorf("%v, %s: samples %v, expected %v", row, impl, got, samples)
			}
		}
		if n := len(r.Samples[row][timings.Firebench]); n != 3 {
			t.Errorf("%v: %d samples of Firebench, expected 3", row, n)
		}
	}
	if n := len(r.Samples[f32]["gonum"]); n != 3 {
		t.Errorf("%d samples of gonum, expected 3", n)
	}
	if _, ok := r.Samples[int8]["gonum"]; ok || len(r.Skips) > 0 {
		t.Errorf("gonum in int8, or skipped: %v", r.Skips)
	}
	if want := (timings.Engine{Impl: "onnxruntime", Version: "1.2.3", Settings: "best, 1 threads"}); !slices.Contains(r.Engines, want) {
		t.Errorf("engines %v, expected %v", r.Engines, want)
	}
	layers := map[string][]string{}
	for _, l := range r.Layers[f32] {
		layers[l.Impl] = append(layers[l.Impl], l.Layer)
	}
	wantLayers := map[string][]string{"firebench": {"conv", "mean", "prob"}, "onnxruntime": {"conv"}, "ncnn": {"conv"}, "ncnn-f32": {"conv"}}
	if !reflect.DeepEqual(layers, wantLayers) {
		t.Errorf("layers %v, expected %v", layers, wantLayers)
	}
	if want := "go run ./compare/peers " + strings.Join(args, " "); r.Command != want {
		t.Errorf("command %q, expected %q", r.Command, want)
	}
	status, again, stderr := command(t.Context(), "-print", "peers.txt")
	if status != 0 || again != stdout || !strings.Contains(stdout, "network  type  threads  firebench  onnxruntime ") {
		t.Errorf("status %d, %s\nprinted\n%s\nand again\n%s", status, stderr, stdout, again)
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files %v, %v", left, err)
	}
	if ended := state(t, "ended"); len(ended) != 2+3 {
		t.Errorf("workers that have ended: %q", ended)
	}
}

// TestRecord: without -o there is a record with its page.
func TestRecord(t *testing.T) {
	path := setUp(t)
	t.Setenv("FIREBENCH_ISA", "scalar")
	status, _, stderr := command(t.Context(), "-nets", path, "-threads", "1", "-types", "f32", "-rounds", "1", "-impls", "ncnn")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	dirs, err := filepath.Glob("results/*/*-unknown-scalar-peers")
	if err != nil || len(dirs) != 1 {
		t.Fatalf("records %q, %v", dirs, err)
	}
	r, err := timings.ReadFile(filepath.Join(dirs[0], recordFile))
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	if err := r.WriteMarkdown(&want); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dirs[0], recordPage)); err != nil || string(got) != want.String() {
		t.Errorf("the page is\n%s\n%v, expected\n%s", got, err, &want)
	}
	if !strings.Contains(want.String(), "instruction set scalar,") {
		t.Errorf("FIREBENCH_ISA is ignored:\n%s", &want)
	}
}

// TestTraining: training is measured beside its own peer, whose packages nothing else installs, and only if the peer changes
// the weights as Firebench does. Its record is told from those of networks.
func TestTraining(t *testing.T) {
	path := setUp(t)
	status, _, stderr := command(t.Context(), "-nets", path, "-threads", "1", "-types", "f32", "-rounds", "1", "-o", "f32.txt")
	others := state(t, "installed")
	if pytorch := func(line string) bool { return strings.Contains(line, "pytorch") }; status != 0 || slices.ContainsFunc(others, pytorch) {
		t.Fatalf("status %d: %s; installed %q", status, stderr, others)
	}
	args := []string{"-nets", path, "-threads", "1", "-types", "train", "-rounds", "1"}
	status, stdout, stderr := command(t.Context(), args...)
	if status != 0 || !strings.Contains(stdout, "Milliseconds per image or, of type train, step on 32 images, median of 1 round") {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	files, err := filepath.Glob("results/*/*-peers-train/" + recordFile)
	if err != nil || len(files) != 1 {
		t.Fatalf("records %q, %v", files, err)
	}
	r, err := timings.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if want := []timings.Row{{Net: "small", Type: "train", Threads: 1}}; !slices.Equal(r.Rows, want) || !slices.Equal(r.Impls, []string{"firebench", "pytorch"}) {
		t.Errorf("rows %v of %v, expected %v", r.Rows, r.Impls, want)
	}
	if installed := state(t, "installed"); len(installed) != len(others)+1 {
		t.Errorf("installed %q", installed[len(others):])
	}
	t.Setenv(behaviorVar, "pytorch=off")
	status, _, stderr = command(t.Context(), append(args, "-o", "x.txt")...)
	if want := "skipped pytorch, small, train, 1 thread: values of the loss are off by "; status != 0 || !strings.Contains(stderr, want) {
		t.Errorf("status %d: %s, expected %q", status, stderr, want)
	}
}

// TestSkip: whatever is wrong with a peer takes one line, and nothing from the others.
func TestSkip(t *testing.T) {
	wrong := []map[string]struct{ what, want string }{
		{
			"onnxruntime": {"error", "ValueError: no such operator"},
			"ncnn":        {"crash", "exit status 7: terminate called"},
			"ncnn-f32":    {"end", "it ended without an answer"},
			"mnn":         {"garbage", `it said "Loading…", expected JSON`},
			"litert":      {"off", "logits are off by 0.1 of the largest, expected at most 0.001"},
			"tract":       {"nan", "logits are off by NaN of the largest, expected at most 0.001"},
		},
		{
			"onnxruntime": {"short", "15 logits, expected 16"},
			"ncnn":        {"late crash", "exit status 7"},
			"mnn":         {"few", "1 latencies, expected 3"},
			"litert":      {"zero", "a latency of 0 ns"},
		},
	}
	for _, wrong := range wrong {
		impls := slices.Sorted(maps.Keys(wrong))
		m, n, contestants := fixture(t, append(impls, "openvino")...)
		var behaviors []string
		var want []timings.Skip
		row := timings.Row{Net: "small", Type: "f32", Threads: 1}
		for _, impl := range impls {
			behaviors = append(behaviors, impl+"="+wrong[impl].what)
			want = append(want, timings.Skip{Row: row, Impl: impl, Reason: wrong[impl].want})
		}
		t.Setenv(behaviorVar, strings.Join(behaviors, ","))
		if err := m.measure(t.Context(), n, n.computations[0], 1, contestants); err != nil {
			t.Fatal(err)
		}
		got := slices.SortedFunc(slices.Values(m.run.Skips), func(a, b timings.Skip) int { return strings.Compare(a.Impl, b.Impl) })
		if !slices.Equal(got, want) {
			t.Errorf("skipped %+v\nexpected %+v", got, want)
		}
		if want := []string{"firebench", "openvino"}; !slices.Equal(m.run.Impls, want) || len(m.run.Samples[row]["openvino"]) != m.count {
			t.Errorf("measured %v, expected %v", m.run.Impls, want)
		}
	}
}

// fixture returns a measurer and what it measures, with pretended workers.
func fixture(t *testing.T, impls ...string) (*measurer, network, []contestant) {
	t.Helper()
	setUp(t)
	dir := t.TempDir()
	n, err := prepare(dir, small(), weights.Random(seed), types)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var contestants []contestant
	for i, p := range peers {
		if i == 0 || slices.Contains(impls, p.name) { // Firebench is pretended as well
			contestants = append(contestants, contestant{p, []string{self, "-E", "-s", "-B", "worker.py"}})
		}
	}
	m := &measurer{
		count: 5, startLimit: time.Minute, answerLimit: time.Minute,
		rand:     rand.New(rand.NewPCG(seed, 0)),
		say:      func(format string, args ...any) { t.Logf(format, args...) },
		progress: cli.NewProgress(t.Output()),
		dropped:  map[string]bool{},
		run:      &timings.Run{},
	}
	return m, n, contestants
}

// TestTurns: in each round each peer has one turn, in an order that the random numbers give.
func TestTurns(t *testing.T) {
	m, n, contestants := fixture(t, "onnxruntime", "openvino", "ncnn")
	m.layers = true
	if err := m.measure(t.Context(), n, n.computations[0], 1, contestants); err != nil {
		t.Fatal(err)
	}
	calls := map[string]int{"firebench": 2, "onnxruntime": 5, "openvino": 10, "ncnn": 1}
	line := func(impl string, calls int) string { return fmt.Sprintf(`%s {"calls":%d}`, impl, calls) }
	var want []string
	order := []string{"firebench", "onnxruntime", "openvino", "ncnn"}
	for _, impl := range order {
		want = append(want, line(impl, trialCalls))
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for range m.count {
		turns := slices.Clone(order)
		r.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		for _, impl := range turns {
			want = append(want, line(impl, calls[impl]))
		}
	}
	for _, impl := range order {
		want = append(want, fmt.Sprintf(`%s {"profile":%d}`, impl, profileCalls))
	}
	if got := state(t, "requests"); !slices.Equal(got, want) {
		t.Errorf("requests\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestHang: who does not answer is killed, and not asked again. Who has no profile in time has been
// measured.
func TestHang(t *testing.T) {
	for what, limits := range map[string][2]time.Duration{
		"hang": {2 * time.Second, time.Minute},
		"mute": {time.Minute, time.Second},
		"dull": {time.Minute, time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			m, n, contestants := fixture(t, "onnxruntime", "openvino", "ncnn", "mnn", "litert", "tract")
			t.Setenv(behaviorVar, "onnxruntime="+what)
			m.layers, m.startLimit, m.answerLimit = true, limits[0], limits[1]
			for _, c := range n.computations {
				if err := m.measure(t.Context(), n, c, 1, contestants); err != nil {
					t.Fatal(err)
				}
			}
			row := timings.Row{Net: "small", Type: "f32", Threads: 1}
			want := []timings.Skip{{Row: row, Impl: "onnxruntime", Reason: "no answer in time, left out from here on"}}
			samples := 0
			if what == "dull" {
				want, samples = nil, m.count
				if note := "no layers of onnxruntime, small, f32, 1 thread: no answer in time"; len(m.run.Notes) != 2 || m.run.Notes[0] != note {
					t.Errorf("notes %q, expected %q and one for int8", m.run.Notes, note)
				}
			}
			if !slices.Equal(m.run.Skips, want) {
				t.Errorf("skipped %v, expected %v", m.run.Skips, want)
			}
			for _, row := range m.run.Rows {
				if got := len(m.run.Samples[row]["openvino"]); got != m.count {
					t.Errorf("%v: %d samples of openvino, expected %d", row, got, m.count)
				}
				if got := len(m.run.Samples[row]["onnxruntime"]); got != samples {
					t.Errorf("%v: %d samples of onnxruntime, expected %d", row, got, samples)
				}
			}
		})
	}
}

// TestFirebenchFails: without Firebench there is nothing to compare with.
func TestFirebenchFails(t *testing.T) {
	m, n, contestants := fixture(t, "openvino")
	n.computations[0].logits[0]++
	err := m.measure(t.Context(), n, n.computations[0], 1, contestants)
	if err == nil || !strings.HasPrefix(err.Error(), "small, f32, 1 thread: firebench: logits are off by ") {
		t.Errorf("error %v", err)
	}
	contestants[0].command = []string{filepath.Join(t.TempDir(), "none")}
	if err := m.measure(t.Context(), n, n.computations[1], 1, contestants); err == nil || !strings.HasPrefix(err.Error(), "small, int8, 1 thread: firebench: ") {
		t.Errorf("error %v", err)
	}
	if len(m.run.Rows) > 0 {
		t.Errorf("rows %v", m.run.Rows)
	}
}

// TestInterrupt: the end of the context kills the workers. What is complete is written.
func TestInterrupt(t *testing.T) {
	path := setUp(t)
	t.Setenv(behaviorVar, "openvino=hang")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for len(state(t, "pids")) == 0 && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
	}()
	start := time.Now()
	status, stdout, stderr := command(ctx, "-nets", path, "-threads", "1", "-rounds", "1", "-impls", "onnxruntime,openvino", "-o", "peers.txt")
	if status != 1 || stdout != "" || !strings.HasSuffix(stderr, "peers: interrupted\n") {
		t.Errorf("status %d, %q, printed %q", status, stderr, stdout)
	}
	if time.Since(start) > 30*time.Second {
		t.Error("it waited for a worker that hangs")
	}
	for _, pid := range state(t, "pids") {
		n, _ := strconv.Atoi(pid)
		if p, err := os.FindProcess(n); err == nil && p.Signal(syscall.Signal(0)) == nil {
			t.Errorf("process %s is still there", pid)
		}
	}
	if _, err := os.Stat("peers.txt"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a complete row there is a file: %v", err)
	}
}

// TestPartial: rows that are complete when something fails are kept.
func TestPartial(t *testing.T) {
	path := setUp(t)
	status, stdout, stderr := command(t.Context(), "-nets", path+",none.onnx", "-threads", "1", "-types", "f32", "-rounds", "1", "-impls", "onnxruntime", "-o", "peers.txt")
	if status != 1 || !strings.HasPrefix(stderr, "peers: ") || !strings.Contains(stderr, "none.onnx: ") {
		t.Errorf("status %d, %q", status, stderr)
	}
	r, err := timings.ReadFile("peers.txt")
	if err != nil {
		t.Fatal(err)
	}
	if last := r.Notes[len(r.Notes)-1]; !strings.HasPrefix(last, "incomplete: none.onnx: ") || !strings.Contains(stdout, last) {
		t.Errorf("note %q", last)
	}
}

// TestOutput: a file that cannot be written is an error before anything is measured.
func TestOutput(t *testing.T) {
	path := setUp(t)
	status, _, stderr := command(t.Context(), "-nets", path, "-o", filepath.Join("none", "peers.txt"))
	if status != 1 || !strings.HasPrefix(stderr, "peers: "+filepath.Join("none", "peers.txt")+": ") {
		t.Errorf("status %d, %q", status, stderr)
	}
	if got := state(t, "installed"); len(got) > 0 {
		t.Errorf("installed %q", got)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"-h", 0, "-impls"},
		{"x", 2, `unexpected argument "x"`},
		{"-nets vgg", 2, `unknown model "vgg"`},
		{"-nets alexnet,alexnet", 2, "alexnet is there twice"},
		{"-threads 0", 2, "expected 1 to "},
		{"-threads 100000", 2, "expected 1 to "},
		{"-types f16", 2, "expected some of f32,int8"},
		{"-impls tensorflow", 2, "expected some of firebench,onnxruntime,openvino,ncnn,ncnn-f32,mnn,litert,tract,gonum"},
		{"-rounds 0", 2, "-rounds is 0, expected 1 to 1000"},
		{"-weights x", 2, "-weights needs the name of one network in -nets"},
		{"-weights x -nets y.onnx", 2, "-weights needs"},
		{"-print x -rounds 3", 2, "-print excludes all other flags"},
		{"-print none.txt", 1, "peers: none.txt: "},
	} {
		status, stdout, stderr := command(t.Context(), strings.Fields(test.args)...)
		if status != test.status || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: status %d, %q, expected %d and %q", test.args, status, stderr, test.status, test.want)
		}
	}
}
