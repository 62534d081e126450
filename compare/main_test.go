package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"firebench/compare/report"
	"firebench/kernels/kerneltest"
)

const bench = "report/testdata/bench.txt"

// compare runs the command.
func compare(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(args, strings.NewReader(""), &out, &err)
	if stack := "goroutine "; strings.Contains(err.String(), stack) {
		t.Errorf("compare %q printed a stack trace:\n%s", args, err.String())
	}
	return status, out.String(), err.String()
}

// file writes a benchmark file.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "no benchmark file"},
		{[]string{"-format", "xml", bench}, `-format "xml": expected one of text, md, csv, json`},
		{[]string{"-net", "alexnet,alexnet", bench}, `networks "alexnet,alexnet": expected one, or two different ones`},
		{[]string{"-net", "alexnet,alexnet-owt,squeezenet1.0", bench}, "expected one, or two different ones"},
		{[]string{"-net", "", bench}, `unknown network ""`},
		{[]string{"-net", "alexnet,vgg", bench}, `unknown network "vgg", expected one of squeezenet1.0, `},
		{[]string{"-tables", "layers,x", bench}, `unknown table "x", expected some of machine,networks,stages,layers,types,candidates,sparse`},
		{[]string{"-tables", "", bench}, `unknown table ""`},
		{[]string{"-what"}, "flag provided but not defined"},
		{[]string{bench, "-mix"}, "flags go before the files"},
	} {
		status, stdout, stderr := compare(t, test.args...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("compare %q: status %d, want 2; stdout %q; stderr %q, want %q in it", test.args, status, stdout, stderr, test.want)
		}
	}
	if status, _, stderr := compare(t, "-h"); status != 0 || !strings.Contains(stderr, "usage: compare") {
		t.Errorf("compare -h: status %d, stderr %q", status, stderr)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestUnwritableOutput(t *testing.T) {
	for _, format := range report.Formats() {
		var stderr bytes.Buffer
		if status := run([]string{"-format", format, bench}, nil, failingWriter{}, &stderr); status != 1 || !strings.Contains(stderr.String(), "writing the report: disk full") {
			t.Errorf("%s: status %d, stderr %q", format, status, stderr.String())
		}
	}
}

func TestMissingFile(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.txt")
	status, stdout, stderr := compare(t, missing, bench)
	if status != 1 || !strings.Contains(stdout, "squeezenet1.0") {
		t.Errorf("status %d, want 1 and a report of the other file; stdout:\n%s", status, stdout)
	}
	line := "compare: " + missing + ": " + kerneltest.StatError(t, missing) + "\n"
	if want := line + "compare: 1 of 2 files could not be read, the report is of the rest\n"; stderr != want {
		t.Errorf("stderr %q, want %q", stderr, want)
	}

	// Where no file can be read, each has one line and nothing else is said.
	folder := t.TempDir()
	empty := file(t, "empty.txt", "")
	for _, test := range []struct {
		paths []string
		want  string
	}{
		{[]string{missing}, line},
		{[]string{"/"}, "compare: /: is a folder, expected a regular file\n"},
		{[]string{"-"}, "compare: standard input: empty: no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n"},
		{[]string{missing, folder, empty}, line + "compare: " + folder + ": is a folder, expected a regular file\n" +
			"compare: " + empty + ": empty: no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n"},
	} {
		if status, stdout, stderr := compare(t, test.paths...); status != 1 || stdout != "" || stderr != test.want {
			t.Errorf("%q: status %d, stdout %q, stderr %q, want %q", test.paths, status, stdout, stderr, test.want)
		}
	}
}

func TestSameFileTwice(t *testing.T) {
	_, once, _ := compare(t, bench)
	status, twice, stderr := compare(t, bench, "./"+bench)
	if status != 0 || !strings.Contains(stderr, "the same file as") || once != twice {
		t.Errorf("status %d, stderr %q, same report: %v", status, stderr, once == twice)
	}
}

// A copy of a recording is no second sample, in another file or in the same; recordings of
// other times, commands and commits are.
func TestCopyOfRecording(t *testing.T) {
	recorded := func(at, commit, command string) string {
		return "# recorded " + at + ", commit " + commit + "\n# command: " + command + "\n" + header + good +
			"# after sample 1, other processes took 0.00 of 2 cores\n"
	}
	text := recorded("2026-11-24T10:00:00Z", "1111aaaa", "run")
	original := file(t, "a.txt", text)
	_, want, _ := compare(t, original)
	again := file(t, "b.txt", text)
	status, stdout, stderr := compare(t, original, again)
	if warning := again + ":7: the same recording as in " + original + ", read once\n"; status != 0 || stdout != want || stderr != warning {
		t.Errorf("status %d, stderr %q, want %q; report\n%s", status, stderr, warning, stdout)
	}
	twice := file(t, "c.txt", text+text)
	status, stdout, stderr = compare(t, twice)
	if warning := twice + ":15: the same recording as in " + twice + ", read once\n"; status != 0 || stdout != want || stderr != warning {
		t.Errorf("in one file: status %d, stderr %q, want %q; report\n%s", status, stderr, warning, stdout)
	}
	for name, other := range map[string]string{
		"time":    recorded("2026-11-24T10:00:01Z", "1111aaaa", "run"),
		"command": recorded("2026-11-24T10:00:00Z", "1111aaaa", "walk"),
		"commit":  recorded("2026-11-24T10:00:00Z", "2222bbbb", "run"),
		"no time": header + good,
	} {
		status, stdout, stderr := compare(t, "-mix", "-format", "json", original, file(t, "other.txt", other))
		samples := 0
		for _, n := range parse(t, stdout).Networks {
			samples += n.N
		}
		if status != 0 || stderr != "" || samples != 2 {
			t.Errorf("another %s: status %d, stderr %q, %d samples, want 2", name, status, stderr, samples)
		}
	}
}

func TestMixedMachines(t *testing.T) {
	text := string(readFile(t, bench))
	for key, change := range map[string]string{
		"cpu":    strings.ReplaceAll(text, "cpu: Example CPU 3000", "cpu: Other\x1b[2J CPU"),
		"goos":   strings.ReplaceAll(text, "goos: linux", "goos: darwin"),
		"goarch": strings.ReplaceAll(text, "goarch: amd64", "goarch: arm64"),
		"cores":  strings.ReplaceAll(text, "cores: 2", "cores: 4"),
		"cpu-id": strings.ReplaceAll(text, "cores: 2\n", "cores: 2\ncpu-id: 25/17/1\n"),
		"caches": strings.ReplaceAll(text, "l2=1MiB", "l2=512KiB"),
		"isas":   strings.ReplaceAll(text, "isas: scalar avx512", "isas: scalar avx2 avx512"),
		"cpu ":   strings.ReplaceAll(text, "cpu: Example CPU 3000 @ 2.40GHz\n", ""),
	} {
		other := file(t, "other.txt", change)
		status, stdout, stderr := compare(t, bench, other)
		if status != 1 || stdout != "" {
			t.Errorf("%s: status %d, want 1; stdout:\n%s", key, status, stdout)
		}
		want := regexp.MustCompile(`^compare: different machines: ` + regexp.QuoteMeta(bench) + `:\d+ has ` + strings.TrimSpace(key) + ` ".*", ` +
			regexp.QuoteMeta(other) + `:\d+ has ` + strings.TrimSpace(key) + ` ".*" \(-mix shows them side by side\)\n$`)
		if !want.MatchString(stderr) || strings.Contains(stderr, "\x1b") {
			t.Errorf("%s: stderr %q does not match %s", key, stderr, want)
		}

		status, stdout, stderr = compare(t, "-mix", "-format", "json", bench, other)
		if status != 0 || stderr != "" {
			t.Fatalf("%s: -mix: status %d, stderr %q", key, status, stderr)
		}
		r := parse(t, stdout)
		var rows [3]int
		for _, n := range r.Networks {
			rows[n.Run]++
			if n.N != 6 {
				t.Errorf("%s: -mix pooled %d samples of two machines", key, n.N)
			}
		}
		if len(r.Runs) != 2 || rows[1] == 0 || rows[1] != rows[2] {
			t.Errorf("%s: -mix: %d runs, rows of each: %v", key, len(r.Runs), rows[1:])
		}
	}

	// Within one file, too, and the machines' other facts do not matter.
	within := file(t, "within.txt", text+strings.ReplaceAll(text, "cores: 2", "cores: 8"))
	if status, _, stderr := compare(t, within); status != 1 || !strings.Contains(stderr, `within.txt:15 has cores "2"`) {
		t.Errorf("two machines in a file: status %d, stderr %q", status, stderr)
	}
	lowered := file(t, "lowered.txt", strings.ReplaceAll(text, "isas: scalar avx512 avx512-vnni", "isas: scalar"))
	status, stdout, stderr := compare(t, lowered, bench)
	if status != 0 || stderr != "" || !strings.Contains(stdout, "instruction sets scalar avx512 avx512-vnni") {
		t.Errorf("one machine with FIREBENCH_ISA lowered: status %d, stderr %q", status, stderr)
	}
	_, stdout, _ = compare(t, "-mix", bench, file(t, "other.txt", strings.ReplaceAll(text, "cores: 2", "cores: 4")))
	for _, want := range []string{"Run 2: CPU Example", "\nrun 2, avx512, 1 thread, auto\n", "\nalexnet, run 2, avx512, 1 thread\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("-mix: no %q in\n%s", want, stdout)
		}
	}
}

const (
	header = "goos: linux\ngoarch: amd64\ncpu: X\ncores: 2\n"
	good   = "BenchmarkNet/net=alexnet/isa=avx2 \t 10 \t 20000000 ns/op\n"
)

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Files of one machine but different commits are refused, or shown apart with -mix.
func TestMixedCommits(t *testing.T) {
	recorded := func(at, commit string) string {
		return "# recorded " + at + ", commit " + commit + "\n# sample 1, load 0.1 0.1 0.1\n" + header + good
	}
	const early, late = "2026-11-23T10:00:00Z", "2026-11-24T10:00:00Z"
	old := file(t, "old.txt", recorded(early, "1111aaaa"))
	for name, text := range map[string]string{"another": recorded(late, "2222bbbb"), "none": header + good} {
		other := file(t, "new.txt", text)
		status, stdout, stderr := compare(t, old, other)
		commit := map[string]string{"another": "2222bbbb"}[name]
		want := regexp.MustCompile(`^compare: different commits: ` + regexp.QuoteMeta(old) + `:\d+ has commit "1111aaaa", ` +
			regexp.QuoteMeta(other) + `:\d+ has commit "` + commit + `" \(go tool benchstat compares two versions of the code, -mix shows them side by side\)\n$`)
		if status != 1 || stdout != "" || !want.MatchString(stderr) {
			t.Errorf("%s: status %d, stdout %q, stderr %q, want %s", name, status, stdout, stderr, want)
		}
		_, stdout, stderr = compare(t, "-mix", "-format", "json", old, other)
		r := parse(t, stdout)
		if stderr != "" || len(r.Runs) != 2 || len(r.Networks) != 2 || r.Runs[0].Commit != "1111aaaa" || r.Runs[1].Commit != commit {
			t.Errorf("%s: -mix: stderr %q, %+v", name, stderr, r)
		}
	}

	// In one file as well; one commit recorded twice is one run.
	if status, _, stderr := compare(t, file(t, "both.txt", recorded(early, "1111aaaa")+recorded(late, "2222bbbb"))); status != 1 || !strings.Contains(stderr, "both.txt:14 has commit") {
		t.Errorf("two commits in a file: status %d, stderr %q", status, stderr)
	}
	_, stdout, stderr := compare(t, old, file(t, "again.txt", recorded(late, "1111aaaa")))
	for _, want := range []string{
		"recorded " + early + ", commit 1111aaaa, in " + old + "\n",
		"recorded " + late + ", commit 1111aaaa, in ",
		"2 samples",
	} {
		if !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("one commit twice: no %q in, stderr %q\n%s", want, stderr, stdout)
		}
	}

	// Versions without a name may differ.
	for _, commit := range []string{"1111aaaa-dirty", ""} {
		_, stdout, _ := compare(t, file(t, "a.txt", recorded(early, commit)), file(t, "b.txt", recorded(late, commit)))
		if want := "2 recordings are taken for one version of the code"; !strings.Contains(stdout, want) {
			t.Errorf("commit %q: no %q in\n%s", commit, want, stdout)
		}
	}
}

func TestStandardInput(t *testing.T) {
	text := readFile(t, bench)
	_, want, _ := compare(t, bench)
	var out, stderr bytes.Buffer
	if status := run([]string{"-"}, bytes.NewReader(text), &out, &stderr); status != 0 || stderr.Len() > 0 || out.String() != want {
		t.Errorf("status %d, stderr %q, the report of the file: %v", status, stderr.String(), out.String() == want)
	}
}

// A report names its file's time, commit and command, in every format for people.
func TestRecorded(t *testing.T) {
	text := "# recorded 2026-11-24T03:45:57Z, commit ca78fc9d\n# command: go run ./bench/run -count 1\n" + header + good
	for _, format := range []string{"text", "md"} {
		_, got, _ := compare(t, "-format", format, "-tables", "networks", file(t, "bench.txt", text))
		if want := "recorded 2026-11-24T03:45:57Z, commit ca78fc9d, by go run ./bench/run -count 1"; !strings.Contains(got, want) {
			t.Errorf("%s: no %q in\n%s", format, want, got)
		}
	}
	_, got, _ := compare(t, "-format", "csv", file(t, "bench.txt", text))
	if want := ",ca78fc9d,2026-11-24T03:45:57Z,go run ./bench/run -count 1,"; !strings.Contains(got, want) {
		t.Errorf("csv: no %q in\n%s", want, got)
	}
	_, got, _ = compare(t, file(t, "bench.txt", header+good))
	if want := "recorded at an unknown time, commit unknown\n"; !strings.Contains(got, want) {
		t.Errorf("no %q in\n%s", want, got)
	}
}

// A parsed is a part of the JSON form.
type parsed struct {
	Runs     []struct{ Commit string }
	Networks []struct {
		Run int
		Ms  float64
		N   int `json:"ms_n"`
	}
}

func parse(t *testing.T, text string) parsed {
	t.Helper()
	var p parsed
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// Every bad line is named, and what surrounds it is read.
func TestBadLines(t *testing.T) {
	const name = "BenchmarkNet/net=alexnet/isa=avx2"
	for _, test := range []struct{ line, want string }{
		{"BenchmarkNet/net=vgg/isa=avx2 10 5 ns/op", `net= in the name: unknown network "vgg", expected one of`},
		{"BenchmarkNet/isa=avx2 10 5 ns/op", `unknown network ""`},
		{"BenchmarkNet/net=alexnet 10 5 ns/op", `isa= in the name: unknown instruction set ""`},
		{"BenchmarkNet/net=alexnet/isa=mmx 10 5 ns/op", `unknown instruction set "mmx"`},
		{"BenchmarkNet 10 5 ns/op", "isa= in the name"},
		{"BenchmarkNet-8 10 5 ns/op", "isa= in the name"},
		{"BenchmarkNet/net=alexnet/type=fp16/isa=avx2 10 5 ns/op", `type= in the name: "fp16", expected f32 or int8`},
		{"BenchmarkPeak/op=mac/isa=avx2 10 5 ns/op 3 GFLOP/s", "no GOP/s"},
		{"BenchmarkNet/net=alexnet/algo=a|b/isa=avx2 10 5 ns/op", `algo= in the name: "a|b"`},
		{"BenchmarkNet/net=alexnet/batch=0/isa=avx2 10 5 ns/op", `batch= in the name: "0", expected a number from 1`},
		{"BenchmarkNet/net=alexnet/batch=many/isa=avx2 10 5 ns/op", `batch= in the name: "many"`},
		{name + "-0 10 5 ns/op", `threads in the name: "0"`},
		{name + "-99999999999999999999 10 5 ns/op", "threads in the name"},
		{name + "/x=" + strings.Repeat("y", 300) + " 10 5 ns/op", "a name of 327 bytes"},
		{"BenchmarkStage/net=alexnet/stage=56/isa=avx2 10 5 ns/op", `stage= in the name: alexnet has no stage "56"`},
		{"BenchmarkStage/net=alexnet/isa=avx2 10 5 ns/op", `alexnet has no stage ""`},
		{"BenchmarkLayer/net=alexnet/layer=fire2/isa=avx2 10 5 ns/op", `layer= in the name: alexnet has no layer "fire2"`},
		{"BenchmarkPeak/op=add/isa=avx2 10 5 ns/op", `op= in the name: "add", expected fma, mac or read`},
		{"BenchmarkPeak/op=fma/isa=avx2 10 5 ns/op", "no GFLOP/s"},
		{"BenchmarkPeak/op=read/isa=avx2 10 5 ns/op 3 GFLOP/s", "no GB/s"},
		{"BenchmarkPeak/op=fma/isa=avx2 10 5 ns/op 0 GFLOP/s", "0 GFLOP/s is no measurement"},
		{"BenchmarkPeak/op=fma/isa=avx2 10 5 ns/op -5 GFLOP/s", "-5 GFLOP/s is no measurement"},
		{"BenchmarkPeak/op=fma/isa=avx2 10 5 ns/op NaN GFLOP/s", "NaN GFLOP/s is no measurement"},
		{"BenchmarkPeak/op=fma/isa=avx2 10 5 ns/op 1e300 GFLOP/s", "is no measurement"},
		{name + " 10 0 ns/op", "seconds per operation is no measurement"},
		{name + " 10 -20000000 ns/op", "seconds per operation is no measurement"},
		{name + " 10 NaN ns/op", "seconds per operation is no measurement"},
		{name + " 10 Inf ns/op", "seconds per operation is no measurement"},
		{name + " 10 1e30 ns/op", "seconds per operation is no measurement"},
		{name + " 10 0.001 ns/op", "seconds per operation is no measurement"},
		{name + " 10 5 B/op", "no ns/op"},
		{name + " 0 20000000 ns/op", "0 iterations"},
		{name + " -3 20000000 ns/op", "-3 iterations"},
		{name + " ten 20000000 ns/op", "parsing iteration count: invalid syntax"},
		{name + " 10 fast ns/op", "parsing measurement: invalid syntax"},
		{name + " 10 20000000", "missing units"},
		{name + " 10", "missing measurements"},
		{name + " 10 20000000 ns/op 5", "missing units"},
		{name + " \x00\xff\x1b[2J 10", "parsing iteration count"},
		{name + " 10 20000000 ns/op 1 GFLOP/s", "another version of the model?"},
		{"BenchmarkLayer/net=alexnet/layer=conv1/isa=avx2 10 5000000 ns/op 2 pick", "2 pick, expected 0 or 1"},
		{"BenchmarkLayer/net=alexnet/layer=conv1/isa=avx2 10 5000000 ns/op NaN pick", "NaN pick, expected 0 or 1"},
		{"BenchmarkNet/net=alexnet/isa=avx2/tile=6 10 20000000 ns/op", "the names differ only in keys"},
		{strings.Repeat("x", 40<<10), "line of more than 16384 bytes, ignored"},
		{name + " 10 20000000 ns/op" + strings.Repeat(" 1 u", 10<<10), "line of more than 16384 bytes, ignored"},
		{"--- FAIL: BenchmarkNet", "the run failed here"},
		{"panic: runtime error: \x1b[31mindex out of range", "the run failed here"},
	} {
		path := file(t, "bench.txt", header+good+test.line+"\n"+good)
		status, stdout, stderr := compare(t, "-format", "json", path)
		if status != 0 {
			t.Errorf("%.100q: status %d", test.line, status)
		}
		if !strings.HasPrefix(stderr, path+":6: ") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("%.100q: stderr %q, want one line %s:6: … %s", test.line, stderr, path, test.want)
		}
		if strings.ContainsAny(stderr, "\x00\x1b") || len(stderr) > 500 {
			t.Errorf("%.100q: stderr is not fit to print: %q", test.line, stderr)
		}
		r := parse(t, stdout)
		if len(r.Networks) != 1 || r.Networks[0].N < 2 || r.Networks[0].Ms != 20 {
			t.Errorf("%.100q: the two good lines make %+v", test.line, r.Networks)
		}

		// Alone it is nothing, or a warning beside something usable.
		status, stdout, stderr = compare(t, file(t, "bench.txt", header+test.line+"\n"))
		if status == 1 && (stdout != "" || !strings.HasSuffix(stderr, ": no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n")) || status > 1 {
			t.Errorf("%.100q alone: status %d, stderr %q", test.line, status, stderr)
		}
	}
}

// Cut anywhere, a file is a report or an error, not a crash.
func TestCut(t *testing.T) {
	text := readFile(t, bench)
	for n := 0; n < len(text); n += len(text)/50 + 1 {
		path := file(t, "cut.txt", string(text[:n]))
		if status, _, stderr := compare(t, path); status > 1 || stderr == "" {
			t.Errorf("the first %d bytes: status %d, stderr %q", n, status, stderr)
		}
	}
}

func TestNothingUsable(t *testing.T) {
	garbage := make([]byte, 100<<10)
	for i, x := 0, uint32(1); i < len(garbage); i++ {
		x = x*1664525 + 1013904223
		garbage[i] = byte(x >> 24)
	}
	for name, test := range map[string]struct{ text, want string }{
		"empty":   {"", "compare: PATH: empty: no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n"},
		"newline": {"\n", "compare: PATH: no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n"},
		"header":  {header, "compare: PATH: no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n"},
		"other":   {header + "BenchmarkX 1 1 ns/op\n", "compare: PATH: no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n"},
		"garbage": {string(garbage), ": no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n"},
		"zeros": {strings.Repeat("\x00", 1<<20), "PATH:1: line of more than 16384 bytes, ignored\n" +
			"compare: PATH: no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train\n"},
	} {
		path := file(t, "x.txt", test.text)
		want := strings.ReplaceAll(test.want, "PATH", path)
		status, stdout, stderr := compare(t, path)
		if status != 1 || stdout != "" || stderr != want && (name != "garbage" || !strings.HasSuffix(stderr, want)) {
			t.Errorf("%s: status %d, stdout %q, stderr %q, want %q", name, status, stdout, stderr, want)
		}
		if status, stdout, stderr := compare(t, path, bench); status != 1 || stdout == "" || !strings.Contains(stderr, want) {
			t.Errorf("%s beside a good file: status %d, stderr %q", name, status, stderr)
		}
	}
}
