package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

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

var facts = func() []*network {
	nets, err := networks()
	if err != nil {
		panic(err)
	}
	return nets
}()

func net(t testing.TB, name string) *network {
	t.Helper()
	for _, n := range facts {
		if n.name == name {
			return n
		}
	}
	t.Fatalf("no model %s", name)
	return nil
}

// load reads texts as files 0.txt, 1.txt, …
func load(t testing.TB, mix bool, texts ...[]byte) (d *data, stderr string) {
	t.Helper()
	d = newData(facts, mix)
	var log bytes.Buffer
	for i, text := range texts {
		if err := d.read(bytes.NewReader(text), fmt.Sprintf("%d.txt", i), &log); err != nil {
			t.Fatal(err)
		}
	}
	return d, log.String()
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
		{"BenchmarkNet/net=alexnet/algo=a|b/isa=avx2 10 5 ns/op", `algo= in the name: "a|b"`},
		{"BenchmarkNet/net=alexnet/batch=0/isa=avx2 10 5 ns/op", `batch= in the name: "0", expected a number from 1`},
		{"BenchmarkNet/net=alexnet/batch=many/isa=avx2 10 5 ns/op", `batch= in the name: "many"`},
		{name + "-0 10 5 ns/op", `threads in the name: "0"`},
		{name + "-99999999999999999999 10 5 ns/op", "threads in the name"},
		{name + "/x=" + strings.Repeat("y", 300) + " 10 5 ns/op", "a name of 327 bytes"},
		{"BenchmarkStage/net=alexnet/stage=56/isa=avx2 10 5 ns/op", `stage= in the name: alexnet has no stage "56"`},
		{"BenchmarkStage/net=alexnet/isa=avx2 10 5 ns/op", `alexnet has no stage ""`},
		{"BenchmarkLayer/net=alexnet/layer=fire2/isa=avx2 10 5 ns/op", `layer= in the name: alexnet has no layer "fire2"`},
		{"BenchmarkPeak/op=add/isa=avx2 10 5 ns/op", `op= in the name: "add", expected fma or read`},
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
		var r report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.Networks) != 1 || r.Networks[0].Ms.N < 2 || r.Networks[0].Ms.Median != 20 {
			t.Errorf("%.100q: the two good lines make %+v", test.line, r.Networks)
		}

		// Alone it is nothing, or a warning beside something usable.
		status, stdout, stderr = compare(t, file(t, "bench.txt", header+test.line+"\n"))
		if status == 1 && (stdout != "" || !strings.Contains(stderr, "compare: no usable results in ")) || status > 1 {
			t.Errorf("%.100q alone: status %d, stderr %q", test.line, status, stderr)
		}
	}
}

// Lines of other tools and benchmarks are passed over in silence.
func TestOtherLines(t *testing.T) {
	for _, line := range []string{
		"", "PASS", "ok  \tfirebench/bench\t12.3s", "# load 0.5", "=== RUN TestX", "pkg: firebench/bench", "note: nothing",
		"Unit GFLOP/s better=higher", "Unit", "BenchmarkNet/net=alexnet/isa=avx2", "Benchmark",
		"BenchmarkForkJoin/isa=x 10 5 ns/op", "BenchmarkKernel/kernel=conv/isa=avx2 10 5 ns/op", "\xff\xfe\x00", "cpu", "cores",
	} {
		d, stderr := load(t, false, []byte(header+good+line+"\n"+good))
		if stderr != "" || d.results != 2 {
			t.Errorf("%q: %d results, stderr %q", line, d.results, stderr)
		}
	}
}

func TestHalfWritten(t *testing.T) {
	last := strings.TrimSuffix(good, "\n")
	for n := 1; n <= len(last); n++ {
		d, stderr := load(t, false, []byte(header+good+last[:n]))
		if want := "0.txt:6: half-written last line (it has no newline), ignored\n"; stderr != want || d.results != 1 {
			t.Fatalf("%q: %d results, stderr %q, want 1 and %q", last[:n], d.results, stderr, want)
		}
	}
	// Cut anywhere, a file is a report or an error, not a crash.
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
		"empty":   {"", "x.txt:0: the file is empty"},
		"newline": {"\n", "x.txt:1: the file ends without a usable result"},
		"header":  {header, "x.txt:4: the file ends without a usable result"},
		"other":   {header + "BenchmarkX 1 1 ns/op\n", "x.txt:5: the file ends without a usable result"},
		"garbage": {string(garbage), "the file ends without a usable result"},
		"zeros":   {strings.Repeat("\x00", 1<<20), "x.txt:1: line of more than 16384 bytes"},
	} {
		path := file(t, "x.txt", test.text)
		status, stdout, stderr := compare(t, path)
		if status != 1 || stdout != "" || !strings.Contains(stderr, test.want) || !strings.HasSuffix(stderr, "compare: no usable results in "+path+"\n") {
			t.Errorf("%s: status %d, stdout %q, stderr %q, want %q", name, status, stdout, stderr, test.want)
		}
		if status, stdout, stderr := compare(t, path, bench); status != 0 || stdout == "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s beside a good file: status %d, stderr %q", name, status, stderr)
		}
	}
}

func TestWarningsAreLimited(t *testing.T) {
	_, stderr := load(t, false, []byte(header+good+strings.Repeat("BenchmarkNet x\n", 1000)))
	if n := strings.Count(stderr, "\n"); n != maxWarnings+1 || !strings.HasSuffix(stderr, "0.txt: 980 more problems\n") {
		t.Errorf("%d lines of warnings, want %d:\n%s", n, maxWarnings+1, stderr)
	}
}

func TestTooManyConfigs(t *testing.T) {
	text := []byte(header)
	for i := range maxConfigs + 1 {
		text = fmt.Appendf(text, "BenchmarkNet/net=alexnet/algo=a%d/isa=avx2 \t 10 \t 20000000 ns/op\n", i)
	}
	d, stderr := load(t, false, text)
	if want := fmt.Sprintf("0.txt:%d: more than %d combinations", 5+maxConfigs, maxConfigs); d.results != maxConfigs || !strings.HasPrefix(stderr, want) {
		t.Errorf("%d results, want %d; stderr %q, want %q", d.results, maxConfigs, stderr, want)
	}
}

func TestTooManyResults(t *testing.T) {
	in := io.MultiReader(strings.NewReader(header), &repeat{text: []byte(good), n: maxResults + 5})
	d := newData(facts, false)
	var log bytes.Buffer
	if err := d.read(in, "many.txt", &log); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("many.txt:%d: more than %d results, the rest is ignored\n", maxResults+5, maxResults); d.results != maxResults || log.String() != want {
		t.Errorf("%d results, want %d; stderr %q, want %q", d.results, maxResults, log.String(), want)
	}
}

// repeat reads as text, n times.
type repeat struct {
	text []byte
	n    int
	at   int
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) && r.n > 0 {
		c := copy(p[n:], r.text[r.at:])
		n += c
		if r.at += c; r.at == len(r.text) {
			r.at, r.n = 0, r.n-1
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Neither long lines nor many config keys stay in memory.
func TestMemory(t *testing.T) {
	const size = 8 << 20
	for name, in := range map[string]io.Reader{
		"one line":    &repeat{text: []byte("BenchmarkNet/net="), n: size / 17},
		"long lines":  &repeat{text: []byte(strings.Repeat("1", 1<<20) + "\n"), n: size >> 20},
		"config keys": &keys{left: size},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := newData(facts, false)
		if err := d.read(in, name, io.Discard); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
			t.Errorf("%s: %d bytes allocated for a file of %d", name, got, size)
		}
		runtime.KeepAlive(d)
	}
}

// keys reads as config lines, each with another key.
type keys struct {
	left, i int
	buf     [32]byte
	line    []byte
}

func (k *keys) Read(p []byte) (int, error) {
	if k.left <= 0 {
		return 0, io.EOF
	}
	if len(k.line) == 0 {
		k.i++
		k.line = append(k.buf[:0], "key"...)
		k.line = strconv.AppendInt(k.line, int64(k.i), 10)
		k.line = append(k.line, ": value\n"...)
	}
	n := copy(p, k.line)
	k.line = k.line[n:]
	k.left -= n
	return n, nil
}

func TestReadError(t *testing.T) {
	broken := errors.New("the disk is broken")
	in := io.MultiReader(strings.NewReader(header+good), errReader{broken})
	d := newData(facts, false)
	if err := d.read(in, "x.txt", io.Discard); !errors.Is(err, broken) || d.results != 1 {
		t.Errorf("error %v, want %v; %d results before it, want 1", err, broken, d.results)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func FuzzRead(f *testing.F) {
	f.Add(readFile(f, bench)[:2000])
	f.Add([]byte(header + good + good))
	f.Add([]byte("cpu: A\n" + good + "cpu: B\n" + good))
	f.Add([]byte("BenchmarkStage/net=alexnet/stage=13/algo=winograd/batch=8/isa=neon-64 1 1e9 ns/op 3 GFLOP/s\n"))
	f.Add([]byte("BenchmarkLayer/net=squeezenet1.1/layer=conv1/isa=scalar 1 5 ns/op\nBenchmarkPeak/op=fma/isa=scalar 1 5 ns/op 4 GFLOP/s\n"))
	f.Add([]byte("BenchmarkLayer/net=alexnet/layer=conv1/algo=direct/isa=avx2 1 5 ns/op 1 pick\nBenchmarkLayer/net=alexnet/layer=conv1/algo=winograd/isa=avx2 1 4 ns/op 0 pick\n"))
	f.Add([]byte("l1d:\nBenchmark\x00\n-\n=\n:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		start := time.Now()
		a, b := net(t, "squeezenet1.0"), net(t, "alexnet")
		for _, mix := range []bool{false, true} {
			d := newData(facts, mix)
			if err := d.read(bytes.NewReader(text), "fuzz", io.Discard); err != nil {
				var mixed *mixError
				if !errors.As(err, &mixed) {
					t.Fatal(err)
				}
			}
			r := d.report(a, b, tableNames)
			for name, write := range formats {
				var one, two bytes.Buffer
				if err := errors.Join(write(&one, r), write(&two, d.report(a, b, tableNames))); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if one.String() != two.String() {
					t.Errorf("%s differs from call to call", name)
				}
				if name == "json" && !json.Valid(one.Bytes()) {
					t.Errorf("not JSON:\n%s", one.String())
				}
				if bytes.ContainsAny(one.Bytes(), "\x00\x1b") {
					t.Errorf("%s: control characters of the file were printed", name)
				}
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}
