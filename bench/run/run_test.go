package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firebench/bench/machine"
	"firebench/bench/model"
	"firebench/bench/recording"
	"firebench/kernels"
	"firebench/net/compression"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/onnx"
	"firebench/net/weights"
)

// prepare makes an empty folder the working directory, makes the benchmarks pretended
// ones, and returns the folder of what they leave. When the test ends, no temporary files
// may be left.
func prepare(t *testing.T) (state string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short, as under emulation, where a program cannot start itself")
	}
	t.Chdir(t.TempDir())
	state = t.TempDir()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Cleanup(func() {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("temporary files %v, %v", left, err)
		}
	})
	t.Setenv(roleVar, "benchmark")
	t.Setenv(stateVar, state)
	t.Setenv("FIREBENCH_ISA", "")
	t.Setenv(model.Variable, "")
	t.Setenv("GODEBUG", "")
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or with -race each pretended benchmark takes a second more
	return state
}

// start runs the command.
func start(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errors strings.Builder
	status = run(ctx, args, &out, &errors, fakeBuild)
	return status, out.String(), errors.String()
}

// tree returns the content of all files below the working directory by path.
func tree(t *testing.T) map[string]string {
	t.Helper()
	content := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var b []byte
			b, err = os.ReadFile(path)
			content[filepath.ToSlash(path)] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// folders returns the folders of the records of this machine, and checks that nothing
// else has been written.
func folders(t *testing.T) []string {
	t.Helper()
	var dirs []string
	for path := range tree(t) {
		dir, name := filepath.Split(path)
		if !slices.Contains([]string{"bench.txt", "compare.txt", "README.md"}, name) ||
			filepath.Dir(filepath.Clean(dir)) != filepath.Join("results", machine.Name()) {
			t.Errorf("there is a file %s", path)
		}
		dirs = append(dirs, filepath.Clean(dir))
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checkSamples checks that a file holds this number of complete samples.
func checkSamples(t *testing.T, text string, want int) {
	t.Helper()
	for i := range want + 1 {
		for _, line := range []string{fmt.Sprintf("\n# sample %d", i+1), fmt.Sprintf("\n# after sample %d", i+1)} {
			if strings.Contains(text, line) != (i < want) {
				t.Errorf("%d samples expected; there is a line %q: %v", want, line[1:], i >= want)
			}
		}
	}
	if n := strings.Count(text, "\nBenchmarkNet/net=squeezenet1.1/batch=1/"); want > 0 && n%want != 0 {
		t.Errorf("%d results of squeezenet1.1 in %d samples", n, want)
	}
}

// TestRecord looks at all that one run leaves and prints.
func TestRecord(t *testing.T) {
	prepare(t)
	before := time.Now().Add(-time.Second)
	status, stdout, stderr := start(t.Context(), "-count", "3", "-net", "squeezenet1.1,alexnet-owt,alexnet")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	dirs := folders(t)
	if len(dirs) != 1 || !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d{6}-unknown$`).MatchString(filepath.Base(dirs[0])) {
		t.Fatalf("folders %q", dirs)
	}
	if !strings.Contains(stderr, "recorded in "+dirs[0]) {
		t.Errorf("stderr does not name the folder: %s", stderr)
	}
	text := read(t, dirs[0], "bench.txt")
	checkSamples(t, text, 3)
	lines := strings.Split(text, "\n")
	var stamp string
	if _, err := fmt.Sscanf(lines[0], "# recorded %s commit unknown", &stamp); err != nil {
		t.Errorf("first line %q", lines[0])
	}
	at, err := time.Parse(time.RFC3339, strings.TrimSuffix(stamp, ","))
	if err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("recorded at %s: %v", stamp, err)
	}
	if want := "# command: go run ./bench/run -count 3 -net squeezenet1.1,alexnet-owt,alexnet"; lines[1] != want {
		t.Errorf("second line %q, expected %q", lines[1], want)
	}
	if _, known := machine.CurrentLoad(); known {
		for _, want := range []string{`# sample 2, load \d+\.\d\d \d+\.\d\d \d+\.\d\d\n`, `# after sample 3, load .*, other processes took \d+\.\d\d of \d+ cores\n`} {
			if !regexp.MustCompile(want).MatchString(text) {
				t.Errorf("no line %s", want)
			}
		}
	}
	if stdout != read(t, dirs[0], "compare.txt") {
		t.Errorf("printed:\n%s", stdout)
	}
	// The first two networks are set side by side; the third is among the networks.
	for _, want := range []string{"Stages of squeezenet1.1", "alexnet-owt (B)", "\nalexnet "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if !strings.Contains(read(t, dirs[0], "README.md"), "| squeezenet1.1 |") {
		t.Error("README.md has no table")
	}
}

// TestRerun: no run replaces another's record, within a second or with another
// instruction set.
func TestRerun(t *testing.T) {
	prepare(t)
	want := map[string]string{}
	for i, isa := range []string{"", "", "scalar"} {
		t.Setenv("FIREBENCH_ISA", isa)
		if status, _, stderr := start(t.Context(), "-count", "1"); status != 0 {
			t.Fatalf("status %d: %s", status, stderr)
		}
		if dirs := folders(t); len(dirs) != i+1 {
			t.Fatalf("%d runs, folders %q", i+1, dirs)
		}
		got := tree(t)
		for path, text := range want {
			if got[path] != text {
				t.Errorf("run %d has changed %s", i+1, path)
			}
		}
		want = got
	}
	scalar := 0
	for path, text := range want {
		if strings.HasSuffix(filepath.Dir(path), "-scalar") && strings.HasSuffix(path, ".txt") && strings.Contains(text, "FIREBENCH_ISA=scalar go run ./bench/run -count 1") {
			scalar++
		}
	}
	if scalar != 2 {
		t.Errorf("%d files of a folder that ends in -scalar name the environment, expected bench.txt and compare.txt", scalar)
	}
}

// TestFolder: names that are taken get a number.
func TestFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	h := recording.Header{Time: time.Date(2026, 11, 24, 3, 4, 5, 0, time.UTC), Commit: "ca78fc9d", ISA: "avx2"}
	want := filepath.Join("results", machine.Name(), "2026-11-24T030405-ca78fc9d-avx2")
	for _, suffix := range []string{"", "-2", "-3"} {
		r, err := create("", h)
		if err != nil {
			t.Fatal(err)
		}
		if r.dir != want+suffix {
			t.Errorf("folder %s, expected %s", r.dir, want+suffix)
		}
		if err := r.complete(); err != nil {
			t.Error(err)
		}
	}
}

// TestOut: a folder that cannot be written, or has a record, ends the command before it
// measures anything.
func TestOut(t *testing.T) {
	prepare(t)
	if err := os.WriteFile("file", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{samplesFile, incompleteFile} {
		if err := os.Mkdir("with-"+name, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("with-"+name, name), []byte("precious"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t)
	tests := map[string]string{
		"file":                   "file: ",
		"file/out":               "file: ",
		"with-" + samplesFile:    "has a record already",
		"with-" + incompleteFile: "has a record already",
	}
	if os.Getuid() > 0 { // root may write anywhere
		if err := os.Mkdir("locked", 0o555); err != nil {
			t.Fatal(err)
		}
		tests["locked"] = "permission denied"
		tests["locked/out"] = "permission denied"
	}
	for out, want := range tests {
		status, stdout, stderr := start(t.Context(), "-count", "1", "-out", out)
		if status != 1 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("-out %s: status %d, %q, expected 1 and %q", out, status, stderr, want)
		}
	}
	if n := len(invoked()); n > 0 {
		t.Errorf("%d invocations of the benchmarks", n)
	}
	if after := tree(t); !maps.Equal(before, after) {
		t.Errorf("files before: %q, after: %q", before, after)
	}

	if status, _, stderr := start(t.Context(), "-count", "1", "-out", "new/folder"); status != 0 {
		t.Errorf("-out new/folder: status %d: %s", status, stderr)
	}
	checkSamples(t, read(t, "new", "folder", samplesFile), 1)
}

// invocationsPerSample is that of the quick preset with one network.
func invocationsPerSample(t *testing.T) int {
	t.Helper()
	n := 0
	for _, inv := range (&options{preset: "quick"}).invocations(0) {
		n += len(inv.threads)
	}
	return n
}

// TestInterrupt: what is complete when the context ends is a record.
func TestInterrupt(t *testing.T) {
	for _, complete := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d samples", complete), func(t *testing.T) {
			state := prepare(t)
			t.Setenv(hangVar, fmt.Sprint(complete*invocationsPerSample(t)+3))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				defer cancel()
				waitFor(filepath.Join(state, "pids"))
			}()
			status, stdout, stderr := start(ctx, "-count", "5", "-net", "squeezenet1.1")
			if status != 1 || !strings.Contains(stderr, "interrupted") {
				t.Fatalf("status %d: %s", status, stderr)
			}
			dirs := folders(t)
			if complete == 0 {
				if len(dirs) > 0 || stdout != "" {
					t.Errorf("without a complete sample there is %q, and %q was printed", dirs, stdout)
				}
				return
			}
			if len(dirs) != 1 || !strings.Contains(stderr, "interrupted; 2 of 5 samples are kept in "+dirs[0]) {
				t.Fatalf("folders %q: %s", dirs, stderr)
			}
			text := read(t, dirs[0], samplesFile)
			checkSamples(t, text, complete)
			if want := "\n# 2 of 5 samples: interrupted\n"; !strings.HasSuffix(text, want) {
				t.Errorf("the samples end in %q, expected %q", text[len(text)-60:], want)
			}
			if !strings.Contains(stdout, "squeezenet1.1") || stdout != read(t, dirs[0], "compare.txt") {
				t.Errorf("printed:\n%s", stdout)
			}
		})
	}
}

// waitFor waits until a file exists, a minute at most.
func waitFor(path string) error {
	for range 6000 {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("no %s after a minute", path)
}

// TestBenchmarkFails: benchmarks that fail leave the samples before.
func TestBenchmarkFails(t *testing.T) {
	prepare(t)
	t.Setenv(failVar, fmt.Sprint(invocationsPerSample(t)+1))
	status, _, stderr := start(t.Context(), "-count", "3", "-net", "squeezenet1.1")
	dirs := folders(t)
	if status != 1 || len(dirs) != 1 || !strings.Contains(stderr, "exit status 3; 1 of 3 samples are kept in "+dirs[0]) {
		t.Fatalf("status %d, folders %q: %s", status, dirs, stderr)
	}
	checkSamples(t, read(t, dirs[0], samplesFile), 1)
}

// TestBuildFails: without benchmarks nothing is written.
func TestBuildFails(t *testing.T) {
	prepare(t)
	var stderr strings.Builder
	fails := func(context.Context, io.Writer, string) error { return errors.New("no compiler") }
	if status := run(t.Context(), nil, io.Discard, &stderr, fails); status != 1 || !strings.HasSuffix(stderr.String(), "run: no compiler\n") {
		t.Errorf("status %d: %s", status, &stderr)
	}
	if dirs := folders(t); len(dirs) > 0 {
		t.Errorf("folders %q", dirs)
	}
}

// TestLast: the newest record is that which was recorded last on this machine; the times
// of the files say nothing.
func TestLast(t *testing.T) {
	prepare(t)
	if status, stdout, stderr := start(t.Context(), "-last"); status != 1 || stdout != "" || !strings.Contains(stderr, "no record of this machine in "+filepath.Join("results", machine.Name())) {
		t.Fatalf("without records: status %d: %s", status, stderr)
	}
	result := "isas: scalar\ncores: 2\npkg: firebench/bench\nBenchmarkNet/net=%s/batch=1/algo=auto/isa=scalar 1 1000000000 ns/op\n"
	for i, r := range []struct{ machine, name, first, net string }{
		{machine.Name(), "b-second", "# recorded 2026-11-24T03:45:57Z, commit 2\n", "squeezenet1.1"},
		{machine.Name(), "c-first", "# recorded 2026-11-23T23:45:57Z, commit 1\n", "squeezenet1.0"},
		{machine.Name(), "d-unknown", "", "alexnet-owt"},
		{"other-1cores", "z-last", "# recorded 2026-12-24T03:45:57Z, commit 3\n", "alexnet"},
	} {
		dir := filepath.Join("results", r.machine, r.name)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, samplesFile)
		if err := os.WriteFile(path, fmt.Appendf([]byte(r.first), result, r.net), 0o666); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	status, stdout, stderr := start(t.Context(), "-last")
	want := filepath.Join("results", machine.Name(), "b-second", samplesFile) + ", recorded 2026-11-24T03:45:57Z, commit 2\n"
	if status != 0 || !strings.HasPrefix(stderr, want) || !strings.Contains(stdout, "squeezenet1.1") {
		t.Errorf("status %d, stderr %q, expected %q; printed:\n%s", status, stderr, want, stdout)
	}
	if n := len(invoked()); n > 0 {
		t.Errorf("%d invocations of the benchmarks", n)
	}
}

// TestProfile: the binary that a profile describes stays beside it, and the list has
// layers only.
func TestProfile(t *testing.T) {
	prepare(t)
	if err := os.WriteFile("go.mod", []byte("module m\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := start(t.Context(), "-profile", "cpu.pprof", "-net", "squeezenet1.1")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if !regexp.MustCompile(`^\s*layer: Total .*\n.*conv1\s*$`).MatchString(stdout) {
		t.Errorf("printed:\n%s", stdout)
	}
	got := slices.Sorted(maps.Keys(tree(t)))
	if want := []string{binaryName, "cpu.pprof", "go.mod"}; !slices.Equal(got, want) {
		t.Errorf("files %q, expected %q", got, want)
	}
	if lines := invoked(); len(lines) != 1 || !strings.Contains(lines[0], `/^net=(squeezenet1\.1)$/^batch=1$/^type=f32$/`) {
		t.Errorf("invoked %q", lines)
	}
	best, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := start(t.Context(), "-profile", "cpu.pprof", "-type", "int8"); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	lines := invoked()
	if len(lines) != 2 || !strings.Contains(lines[0], isaPattern(best.Float32())) || !strings.Contains(lines[1], "/^batch=1$/^type=int8$/^algo=auto$/"+isaPattern(best)) {
		t.Errorf("invoked %q", lines)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"-h", 0, "-net"},
		{"-nonsense", 2, "-nonsense"},
		{"x", 2, `unexpected argument "x"`},
		{"-preset fast", 2, `-preset is "fast", expected quick, full or sparse`},
		{"-count 0", 2, "-count is 0, expected 1 to 1000"},
		{"-count 1001", 2, "-count is 1001"},
		{"-net squeezenet9", 2, `-net: unknown model "squeezenet9", expected one of squeezenet1.0`},
		{"-net alexnet,", 2, `-net: unknown model ""`},
		{"-net alexnet,alexnet", 2, "-net: alexnet is there twice"},
		{"-profile x -net alexnet,squeezenet1.0", 2, "expected one network"},
		{"-profile x -count 2", 2, "-profile and -count exclude each other"},
		{"-profile x -type int4", 2, `-type is "int4", expected f32 or int8`},
		{"-type int8", 2, "-type is for -profile alone"},
		{"-last -type int8", 2, "-last and -type exclude each other"},
		{"-last -out x", 2, "-last and -out exclude each other"},
	} {
		status, stdout, stderr := start(t.Context(), strings.Fields(test.args)...)
		if status != test.status || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: status %d, %q, expected %d and %q", test.args, status, stderr, test.status, test.want)
		}
	}
}

func TestBusy(t *testing.T) {
	for _, test := range []struct {
		load  float64
		cores int
		want  bool
	}{{0.3, 2, false}, {1, 2, true}, {2, 2, true}, {1, 8, false}, {3, 8, true}} {
		if got := busy(test.load, test.cores); got != test.want {
			t.Errorf("load %v on %d cores is busy: %v", test.load, test.cores, got)
		}
	}
}

// TestNets: -net chooses the networks of all presets.
func TestNets(t *testing.T) {
	for _, preset := range []string{"quick", "full", "sparse"} {
		o := options{preset: preset, nets: []string{"squeezenet1.0", "alexnet"}}
		nets := 0
		for _, inv := range o.invocations(0) {
			if strings.Contains(inv.bench, `/^net=(squeezenet1\.0|alexnet)$`) {
				nets++
			} else if strings.Contains(inv.bench, "/") {
				t.Errorf("%s: %s", preset, inv.bench)
			}
		}
		if nets == 0 {
			t.Errorf("%s: no networks", preset)
		}
	}
}

// TestTypes: the quick preset measures both types, each on the best instruction set that has kernels of
// its own for it, and the direct algorithm in float32 on all.
func TestTypes(t *testing.T) {
	o := options{preset: "quick", nets: []string{"alexnet"}}
	var got []string
	for _, inv := range o.invocations(kernels.AVX512VNNI) {
		for _, pattern := range strings.Split(inv.bench, "|^Benchmark") {
			got = append(got, "^Benchmark"+strings.TrimPrefix(pattern, "^Benchmark"))
		}
	}
	const f32, int8 = "/^isa=avx512$", "/^isa=avx512-vnni$"
	want := []string{
		"^BenchmarkPeak$",
		"^BenchmarkNet$/^net=(alexnet)$/^batch=1$/^type=f32$/^algo=direct$",
		"^BenchmarkNet$/^net=(alexnet)$/^batch=1$/^type=int8$/^algo=direct$" + int8,
		"^BenchmarkNet$/^net=(alexnet)$/^batch=(1|8)$/^type=f32$/^algo=auto$" + f32,
		"^BenchmarkNet$/^net=(alexnet)$/^batch=(1|8)$/^type=int8$/^algo=auto$" + int8,
		"^BenchmarkStage$/^net=(alexnet)$/^stage=/^type=f32$/^algo=auto$" + f32,
		"^BenchmarkStage$/^net=(alexnet)$/^stage=/^type=int8$/^algo=auto$" + int8,
		"^BenchmarkLayer$/^net=(alexnet)$/^layer=/^op=/^type=f32$/^algo=" + f32,
		"^BenchmarkLayer$/^net=(alexnet)$/^layer=/^op=/^type=int8$/^algo=" + int8,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSparse: the preset of layers with zeros measures all that can compute them, on the best instruction set.
func TestSparse(t *testing.T) {
	o := options{preset: "sparse", nets: []string{"alexnet"}}
	var got []string
	for _, inv := range o.invocations(kernels.AVX512VNNI) {
		got = append(got, inv.bench)
	}
	const layers, all = "^BenchmarkSparse$/^net=(alexnet)$/^layer=/^op=", "/^density=/^pattern=/^algo="
	want := []string{"^BenchmarkPeak$", layers + "/^type=f32$" + all + "/^isa=avx512$|" + layers + "/^type=int8$" + all + "/^isa=avx512-vnni$"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, expected %q", got, want)
	}
}

// TestModel records the network in a file: it is described once, and compared.
func TestModel(t *testing.T) {
	prepare(t)
	folder := t.TempDir()
	writeModel := func(name string, m *graph.Model, w graph.Weights) string {
		path := filepath.Join(folder, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := onnx.Write(f, m, w); err != nil {
			t.Fatal(err)
		}
		return path
	}
	table := &graph.Model{Name: "my(net)+%2D7", Input: layer.Shape{H: 8, W: 8, C: 3}, Nodes: []graph.Node{
		{Name: "conv", Layer: layer.Conv{Out: 4, Kernel: 3}},
		{Name: "mean", Layer: layer.GlobalAvgPool{}},
	}}
	path := writeModel("f32.onnx", table, weights.Random(1))
	t.Setenv(model.Variable, path)
	status, stdout, stderr := start(t.Context(), "-count", "2")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	text := read(t, folders(t)[0], "bench.txt")
	checkSamples(t, text, 2)
	if n := strings.Count(text, "\n# layer net=my(net)+%2D7 layer=conv op=conv3x3 "); n != 1 {
		t.Errorf("the network is described %d times in\n%s", n, text)
	}
	if want := "\n# command: FIREBENCH_MODEL=" + path + " go run ./bench/run -count 2\n"; !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
	if !strings.Contains(stdout, "my(net)+%2D7: 112.0 parameters, ") || strings.Contains(stderr, "bench.txt:") {
		t.Errorf("printed\n%s\nand\n%s", stdout, stderr)
	}

	if status, _, stderr := start(t.Context(), "-net", "alexnet"); status != 2 || stderr != "run: -net and FIREBENCH_MODEL exclude each other\n" {
		t.Errorf("-net: status %d, %q", status, stderr)
	}
	if status, _, stderr := start(t.Context(), "-last", "-net", "my(net)+%2D7"); status != 0 || strings.Contains(stderr, "exclude") {
		t.Errorf("-last: status %d, %q", status, stderr)
	}
	if status, _, stderr := start(t.Context(), "-last", "-net", "other"); status != 2 || !strings.Contains(stderr, `run: unknown network "other", expected one of squeezenet1.0, `) {
		t.Errorf("-last of another network: status %d, %q", status, stderr)
	}
	t.Setenv(model.Variable, "none.onnx")
	if status, _, stderr := start(t.Context()); status != 1 || !strings.HasPrefix(stderr, "run: FIREBENCH_MODEL: none.onnx: ") {
		t.Errorf("no file: status %d, %q", status, stderr)
	}

	// The profile of a quantized network is of int8, as there is nothing else.
	c := &compression.Calibration{Model: table.Name, Method: compression.MinMax, Images: 1, Values: []compression.Value{{Name: graph.Input, Scale: 1}, {Name: "conv", Scale: 1}, {Name: "mean", Scale: 1}}}
	q, w, err := compression.Quantize(c, compression.Options{}).Apply(table, weights.Random(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(model.Variable, writeModel("int8.onnx", q, w))
	before := len(invoked())
	if status, _, stderr := start(t.Context(), "-profile", filepath.Join(folder, "cpu.pprof")); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if lines := invoked()[before:]; len(lines) != 1 || !strings.Contains(lines[0], `/^net=(my\(net\)\+%2D7)$/^batch=1$/^type=int8$/`) {
		t.Errorf("invoked %q", lines)
	}
}

// TestCompared: which networks the comparison sets side by side.
func TestCompared(t *testing.T) {
	for _, c := range []struct{ nets, want []string }{
		{nil, nil},
		{[]string{"alexnet"}, []string{"alexnet"}},
		{[]string{"squeezenet1.1", "alexnet"}, []string{"squeezenet1.1", "alexnet"}},
		{[]string{"squeezenet1.1", "alexnet-owt", "alexnet"}, []string{"squeezenet1.1", "alexnet-owt"}},
		{[]string{"squeezenet1.1", "alexnet", "squeezenet1.0"}, []string{"squeezenet1.0", "alexnet"}},
	} {
		o := options{nets: c.nets}
		if got := o.report(nil).Nets; !slices.Equal(got, c.want) {
			t.Errorf("-net %q: %q side by side, expected %q", c.nets, got, c.want)
		}
	}
}
