package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestGolden(t *testing.T) {
	for _, format := range Formats() {
		t.Run(format, func(t *testing.T) {
			got := written(t, Options{}, format)
			golden := "testdata/bench." + format
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
			for i := range max(len(gotLines), len(wantLines)) {
				var g, w string
				if i < len(gotLines) {
					g = gotLines[i]
				}
				if i < len(wantLines) {
					w = wantLines[i]
				}
				if g != w {
					t.Fatalf("%s:%d: (go test -update accepts it)\ngot  %q\nwant %q", golden, i+1, g, w)
				}
			}
		})
	}
}

// written returns the report of the golden file.
func written(t *testing.T, o Options, format string) string {
	t.Helper()
	var log, out bytes.Buffer
	o.Log = &log
	r, err := Read(o, bench)
	if err == nil {
		err = r.Write(&out, format)
	}
	if err != nil || log.Len() > 0 {
		t.Fatalf("error %v, log:\n%s", err, log.String())
	}
	return out.String()
}

// The CSV and JSON forms can be read, and hold the same rows.
func TestMachineReadable(t *testing.T) {
	text := written(t, Options{}, "json")
	var r struct {
		Runs, Machine, Networks, Stages, Layers, Types, Candidates, Sparse, Training, Gradients, Peers []any
		Notes                                                                                          []string
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 1 {
		t.Fatalf("%d runs, want 1", len(r.Runs))
	}
	want := []int{1, len(r.Machine), len(r.Networks), len(r.Stages), len(r.Layers), len(r.Types), len(r.Candidates), len(r.Sparse), len(r.Training), len(r.Gradients), len(r.Peers), len(r.Notes)}

	text = written(t, Options{}, "csv")
	sections := strings.Split(strings.TrimSuffix(text, "\n"), "\n\n")
	if len(sections) != len(want) {
		t.Fatalf("%d CSV sections, want %d", len(sections), len(want))
	}
	for i, s := range sections {
		rows, err := csv.NewReader(strings.NewReader(s)).ReadAll() // rows of one length
		if err != nil {
			t.Errorf("section %d: %v", i, err)
		}
		empty := slices.Contains(rows[0], "peer") // the golden file has none
		if len(rows)-1 != want[i] || want[i] == 0 != empty {
			t.Errorf("section %q: %d rows, JSON has %d", rows[0], len(rows)-1, want[i])
		}
	}
}

func TestTables(t *testing.T) {
	got := written(t, Options{Tables: []string{"stages", "networks"}}, "md")
	if !strings.Contains(got, "### Columns") || !strings.Contains(got, "### Notes") || !strings.Contains(got, "### Networks") || !strings.Contains(got, "### Stages") {
		t.Errorf("a table is missing:\n%s", got)
	}
	if strings.Count(got, "### ") != 4 || strings.Contains(got, "layers with") {
		t.Errorf("a table or note too many:\n%s", got)
	}
	for _, name := range Tables() {
		got = written(t, Options{Tables: []string{name}}, "json")
		var r map[string]any
		if err := json.Unmarshal([]byte(got), &r); err != nil {
			t.Fatal(err)
		}
		if len(r) != 3 || r[name] == nil || r["runs"] == nil || r["notes"] == nil {
			t.Errorf("JSON of table %s has %d keys:\n%s", name, len(r), got)
		}
	}
}

// People see no column of intervals where no row has one, and one note that says why.
func TestFewSamples(t *testing.T) {
	for samples, want := range map[int]bool{1: false, 5: false, 6: true} {
		d, _ := load(t, false, []byte(header+strings.Repeat(good, samples)+strings.Repeat("BenchmarkLayer/net=alexnet/layer=conv1/algo=direct/isa=avx2 1 5000000 ns/op\n", samples)))
		for _, format := range []string{"text", "md"} {
			var b strings.Builder
			if err := build(d, Options{}).Write(&b, format); err != nil {
				t.Fatal(err)
			}
			got := b.String()
			if strings.Contains(got, "95% interval") != want || strings.Contains(got, "∞") {
				t.Errorf("%s of %d samples: intervals %v, want %v:\n%s", format, samples, !want, want, got)
			}
			if n := strings.Count(got, "need >= 6 samples for confidence interval"); n != map[bool]int{false: 1, true: 0}[want] {
				t.Errorf("%s of %d samples: %d notes that say why:\n%s", format, samples, n, got)
			}
		}
	}
}

// Text fits a terminal of 120 columns, with the longest names of the models.
func TestWidth(t *testing.T) {
	var in strings.Builder
	in.WriteString(header)
	ms := []float64{1234.5, 1345.6, 1456.7, 1567.8, 1678.9, 1789.1}
	add := func(name string, part []float64) { in.WriteString(lines(name, part...)) }
	for _, net := range facts {
		for _, config := range []string{
			"/algo=direct/isa=avx512", "/algo=auto/isa=avx512", "/algo=winograd/isa=avx512-2", "/algo=direct/isa=scalar",
			"/type=int8/algo=direct/isa=avx512-vnni", "/type=int8/algo=winograd/isa=avx512-vnni", "/type=int8/algo=auto/isa=avx512-vnni",
		} {
			add("Net/net="+net.Name+config, ms)
			add("Net/net="+net.Name+"/batch=8"+config, ms)
			for _, s := range net.Stages {
				add("Stage/net="+net.Name+"/stage="+s.Name+config, ms)
			}
			for _, l := range net.Layers {
				add("Layer/net="+net.Name+"/layer="+l.Name+config, ms)
			}
		}
	}
	text := strings.ReplaceAll(in.String(), "ns/op", "ns/op 150.5 peak-% 80.5 fma-% 80.5 mac-%")
	for _, nets := range [][]string{nil, {"squeezenet1.0-simple", "squeezenet1.0-complex"}} {
		d, stderr := load(t, false, []byte(text))
		var b strings.Builder
		if err := build(d, Options{Nets: nets}).Write(&b, "text"); err != nil || stderr != "" {
			t.Fatal(err, stderr)
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(line) - 1; n > 120 {
				t.Errorf("%d columns: %s", n, line)
				break
			}
		}
	}
}

func TestMarkdownEscapes(t *testing.T) {
	d, _ := load(t, false, []byte("cpu: A|B <script> *_\n"+good))
	var b strings.Builder
	if err := build(d, Options{}).Write(&b, "md"); err != nil {
		t.Fatal(err)
	}
	if want := `A\|B &lt;script> \*\_`; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, b.String())
	}
}
