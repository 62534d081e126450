package report

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"firebench/compare/samples"
)

const (
	bench  = "testdata/bench.txt"
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

var facts = func() []*samples.Network {
	nets, err := samples.Networks()
	if err != nil {
		panic(err)
	}
	return nets
}()

func network(t testing.TB, name string) *samples.Network {
	t.Helper()
	n, err := samples.Lookup(facts, name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// load reads texts as files 0.txt, 1.txt, …
func load(t testing.TB, mix bool, texts ...[]byte) (d *samples.Data, stderr string) {
	t.Helper()
	d = samples.New(facts, mix)
	var log bytes.Buffer
	for i, text := range texts {
		if err := d.Read(bytes.NewReader(text), fmt.Sprintf("%d.txt", i), &log); err != nil {
			t.Fatal(err)
		}
	}
	return d, log.String()
}

// bench lines with these times in milliseconds.
func lines(name string, ms ...float64) string {
	var b strings.Builder
	for _, v := range ms {
		fmt.Fprintf(&b, "Benchmark%s\t10\t%.0f ns/op\n", name, 1e6*v)
	}
	return b.String()
}

// peaks are lines of the peak of float32.
func peaks(name string, rates ...float64) string {
	var b strings.Builder
	for _, v := range rates {
		fmt.Fprintf(&b, "BenchmarkPeak/op=fma/%s\t10\t1000 ns/op\t%v GFLOP/s\n", name, v)
	}
	return b.String()
}

// quantized are the same lines, or those of the peak, of int8. Before the instruction set comes the type.
func quantized(lines string) string {
	return strings.NewReplacer("/algo=", "/type=int8/algo=", "op=fma", "op=mac", "GFLOP/s", "GOP/s", "fma-%", "mac-%").Replace(lines)
}

// marked are lines of a layer with these times in milliseconds, which say whether auto picks the algorithm.
func marked(layer, algo string, pick int, ms ...float64) string {
	in := lines("Layer/"+layer+"/op=any/algo="+algo+"/isa=avx2", ms...)
	return strings.ReplaceAll(in, " ns/op", fmt.Sprintf(" ns/op\t%d pick", pick))
}

// rows are the rows of all tables.
type rows struct {
	networks   []networkRow
	stages     []stageRow
	layers     []layerRow
	types      []typeRow
	candidates []candidateRow
	sparse     []sparseRow
	notes      []string
}

// rowsOf returns the rows of these files, each behind a header of one machine.
func rowsOf(t *testing.T, texts ...string) *rows {
	t.Helper()
	return rowsOfNets(t, DefaultNets, texts...)
}

// rowsOfNets is rowsOf for other networks side by side.
func rowsOfNets(t *testing.T, nets []string, texts ...string) *rows {
	t.Helper()
	var files [][]byte
	for _, text := range texts {
		files = append(files, []byte(header+text))
	}
	d, stderr := load(t, false, files...)
	if stderr != "" {
		t.Fatalf("stderr %q", stderr)
	}
	b := newBuilder(d, nets)
	b.noteDoubts()
	r := &rows{networks: b.networks(), stages: b.stages(), layers: b.layers(), types: b.types(), candidates: b.candidates(), sparse: b.sparse()}
	r.notes = b.notes
	return r
}

func hasNote(r *rows, substring string) int {
	n := 0
	for _, note := range r.notes {
		n += strings.Count(note, substring)
	}
	return n
}

func near(t *testing.T, what string, got number, want float64) {
	t.Helper()
	if !(math.Abs(float64(got)/want-1) < 1e-9) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
