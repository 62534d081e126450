package samples

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

const (
	head = "goos: linux\ngoarch: amd64\ncpu: X\ncores: 2\n"
	good = "BenchmarkNet/net=alexnet/isa=avx2 \t 10 \t 20000000 ns/op\n"
)

var facts = func() []*Network {
	nets, err := Networks()
	if err != nil {
		panic(err)
	}
	return nets
}()

// load reads texts as files 0.txt, 1.txt, …
func load(t testing.TB, mix bool, texts ...[]byte) (d *Data, stderr string) {
	t.Helper()
	d = New(facts, mix)
	var log bytes.Buffer
	for i, text := range texts {
		if err := d.Read(bytes.NewReader(text), fmt.Sprintf("%d.txt", i), &log); err != nil {
			t.Fatal(err)
		}
	}
	return d, log.String()
}

// Lines of other tools and benchmarks are passed over in silence.
func TestOtherLines(t *testing.T) {
	for _, line := range []string{
		"", "PASS", "ok  \tfirebench/bench\t12.3s", "# load 0.5", "=== RUN TestX", "pkg: firebench/bench", "note: nothing",
		"Unit GFLOP/s better=higher", "Unit", "BenchmarkNet/net=alexnet/isa=avx2", "Benchmark",
		"BenchmarkForkJoin/isa=x 10 5 ns/op", "BenchmarkKernel/kernel=conv/isa=avx2 10 5 ns/op", "\xff\xfe\x00", "cpu", "cores",
	} {
		d, stderr := load(t, false, []byte(head+good+line+"\n"+good))
		if stderr != "" || d.Results != 2 {
			t.Errorf("%q: %d results, stderr %q", line, d.Results, stderr)
		}
	}
}

func TestHalfWritten(t *testing.T) {
	last := strings.TrimSuffix(good, "\n")
	for n := 1; n <= len(last); n++ {
		d, stderr := load(t, false, []byte(head+good+last[:n]))
		if want := "0.txt:6: half-written last line (it has no newline), ignored\n"; stderr != want || d.Results != 1 {
			t.Fatalf("%q: %d results, stderr %q, want 1 and %q", last[:n], d.Results, stderr, want)
		}
	}
}

func TestWarningsAreLimited(t *testing.T) {
	_, stderr := load(t, false, []byte(head+good+strings.Repeat("BenchmarkNet x\n", 1000)))
	if n := strings.Count(stderr, "\n"); n != maxWarnings+1 || !strings.HasSuffix(stderr, "0.txt: 980 more problems\n") {
		t.Errorf("%d lines of warnings, want %d:\n%s", n, maxWarnings+1, stderr)
	}
}

func TestTooManyConfigs(t *testing.T) {
	text := []byte(head)
	for i := range maxConfigs + 1 {
		text = fmt.Appendf(text, "BenchmarkNet/net=alexnet/algo=a%d/isa=avx2 \t 10 \t 20000000 ns/op\n", i)
	}
	d, stderr := load(t, false, text)
	if want := fmt.Sprintf("0.txt:%d: more than %d combinations", 5+maxConfigs, maxConfigs); d.Results != maxConfigs || !strings.HasPrefix(stderr, want) {
		t.Errorf("%d results, want %d; stderr %q, want %q", d.Results, maxConfigs, stderr, want)
	}
}

func TestTooManyResults(t *testing.T) {
	in := io.MultiReader(strings.NewReader(head), &repeat{text: []byte(good), n: maxResults + 5})
	d := New(facts, false)
	var log bytes.Buffer
	if err := d.Read(in, "many.txt", &log); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("many.txt:%d: more than %d results, the rest is ignored\n", maxResults+5, maxResults); d.Results != maxResults || log.String() != want {
		t.Errorf("%d results, want %d; stderr %q, want %q", d.Results, maxResults, log.String(), want)
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

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

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
		d := New(facts, false)
		if err := d.Read(in, name, io.Discard); !errors.Is(err, ErrNoResults) {
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

func TestReadError(t *testing.T) {
	broken := errors.New("the disk is broken")
	in := io.MultiReader(strings.NewReader(head+good), errReader{broken})
	d := New(facts, false)
	if err := d.Read(in, "x.txt", io.Discard); !errors.Is(err, broken) || err.Error() != "x.txt:5: the disk is broken" || d.Results != 1 {
		t.Errorf("error %v, want %v; %d results before it, want 1", err, broken, d.Results)
	}
}

type errReader struct{ err error }
