package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firebench/compare/samples"
	"firebench/kernels/kerneltest"
	"firebench/net/models"
)

// The networks side by side are those that were asked for, else the usual ones, else the
// first that were measured.
func TestPair(t *testing.T) {
	net := func(name string) string { return lines("Net/net="+name+"/isa=avx2", 1) }
	for _, test := range []struct {
		asked    string
		in, want string
	}{
		{"", net("squeezenet1.0") + net("squeezenet1.1") + net("alexnet"), "squeezenet1.0 alexnet"},
		{"", net("alexnet-owt") + net("squeezenet1.1") + net("squeezenet1.0"), "squeezenet1.0 squeezenet1.1"},
		{"", net("alexnet-owt"), "alexnet-owt"},
		{"", peaks("isa=avx2", 1), "squeezenet1.0 alexnet"},
		{"alexnet-owt squeezenet1.1", net("squeezenet1.0") + net("alexnet"), "alexnet-owt squeezenet1.1"},
		{"alexnet", net("squeezenet1.0") + net("alexnet"), "alexnet"},
	} {
		d, _ := load(t, false, []byte(header+test.in))
		var got []string
		for _, n := range newBuilder(d, strings.Fields(test.asked)).pair {
			got = append(got, n.Name)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("asked for %q, measured\n%s: got %q, want %q", test.asked, test.in, got, test.want)
		}
	}
}

// A network that the file describes is shown like one of the models.
func TestDescribedNetwork(t *testing.T) {
	m, err := models.Lookup("alexnet")
	if err != nil {
		t.Fatal(err)
	}
	m.Name = "mine"
	layers, err := samples.Describe(m)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range layers {
		fmt.Fprintln(&text, l)
	}
	original := string(readFile(t, bench))
	text.WriteString(strings.ReplaceAll(original, "net=alexnet/", "net=mine/"))
	path := filepath.Join(t.TempDir(), "bench.txt")
	if err := os.WriteFile(path, []byte(text.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	shown := func(path, net string) string {
		var log, out strings.Builder
		r, err := Read(Options{Nets: []string{"squeezenet1.0", net}, Log: &log}, path)
		if err != nil {
			t.Fatal(err)
		}
		if log.Len() > 0 {
			t.Error(log.String())
		}
		r.runs = nil // which name the file
		if err := r.Write(&out, "json"); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	want := strings.ReplaceAll(shown(bench, "alexnet"), "alexnet", "mine")
	if got := shown(path, "mine"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A network alone has stages and layers without a counterpart.
func TestOneNetwork(t *testing.T) {
	text := written(t, Options{Nets: []string{"alexnet"}}, "text")
	for _, want := range []string{"\nStages of alexnet\n", "\nLayers of alexnet by output size\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, unwanted := range []string{"A/B", "paired", "(B)", "B ms"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("%q in\n%s", unwanted, text)
		}
	}
}

func TestPages(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "bench.txt")
	if err := WritePages(dir, Options{}); err == nil || err.Error() != missing+": "+kerneltest.StatError(t, missing) {
		t.Errorf("an empty folder: error %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bench.txt"), readFile(t, bench), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := WritePages(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	for name, format := range map[string]string{"compare.txt": "text", "README.md": "md"} {
		if got := string(readFile(t, filepath.Join(dir, name))); got != written(t, Options{}, format) {
			t.Errorf("%s is not the report as %s:\n%s", name, format, got)
		}
	}
}

// Every table has a name, rows in the golden file and explanations.
func TestTableKinds(t *testing.T) {
	d, _ := load(t, false, readFile(t, bench))
	names := make(map[string]bool)
	for _, made := range build(d, Options{}, beside()).tables {
		if made.name == "" || names[made.name] || made.title == "" || len(made.records) == 0 || len(made.explain) == 0 {
			t.Errorf("table %q, %q: %d rows, %d explanations", made.name, made.title, len(made.records), len(made.explain))
		}
		names[made.name] = true
		for _, record := range made.records {
			if len(record) != len(made.keys) {
				t.Errorf("%s: %d values, %d keys", made.name, len(record), len(made.keys))
			}
		}
	}
	if len(names) != len(tables) || len(d.Runs) != 1 {
		t.Errorf("%d tables, want %d; %d runs", len(names), len(tables), len(d.Runs))
	}
}

// Only columns that are there are explained.
func TestExplanations(t *testing.T) {
	// What an explanation begins with, or says, and the head of the column that it is about.
	about := map[string]string{
		"ms are": "ms", "ms/image": "ms/image", "interval": "95% interval", "n counts": "n", "GOP/s count": "GOP/s", "% peak": "% peak",
		"% busy": "% busy", "GB/s count": "GB/s", "% net": "% net", "× scalar": "× scalar", "regret": "regret %",
		"A/B": "A/B", "p is": "p", "FMA GFLOP/s": "FMA GFLOP/s", "read GB/s": "read GB/s", "int8 GOP/s": "int8 GOP/s", "× f32": "× f32", "f32 ms": "f32 ms", "The sums": "f32 ms",
		"ms and its ms": "its ms", "× Firebench": "× Firebench",
		"forward, backward": "forward", "/ 3 ×": "/ 3 × inference", "forward, grad-input": "grad-input",
		"density is": "density", "× dense": "× dense", "break-even": "break-even",
	}
	stage := func(net string, ms ...float64) string { return lines("Stage/net="+net+"/stage=27/isa=avx2", ms...) }
	explained := make(map[string]bool)
	for name, in := range map[string]string{
		"golden":       string(readFile(t, bench)),
		"few":          header + stage("squeezenet1.0", 1) + stage("alexnet", 2) + marked("net=alexnet/layer=conv3", "direct", 1, 1) + peaks("isa=avx2", 100),
		"only direct":  header + marked("net=alexnet/layer=conv3", "direct", 1, 1, 2, 3, 4, 5, 6),
		"not marked":   header + marked("net=alexnet/layer=conv3", "direct", 0, 1) + marked("net=alexnet/layer=conv3", "winograd", 0, 1),
		"one sample":   header + lines("Net/net=alexnet/isa=avx2", 1),
		"more samples": header + lines("Net/net=alexnet/isa=avx2", 1, 2, 3) + lines("Net/net=alexnet/isa=scalar", 1, 2),
	} {
		d, _ := load(t, false, []byte(in))
		for _, nets := range [][]string{DefaultNets, {"alexnet"}} {
			for _, made := range build(d, Options{Nets: nets}, beside()).tables {
				for _, e := range made.explain {
					found := strings.HasPrefix(e, "MB are")
					for words, column := range about {
						if strings.HasPrefix(e, words) || words == "interval" && strings.Contains(e, words) {
							if found = true; !made.shows(column) {
								t.Errorf("%s, networks %q, table %s: explains %q, but has only %q", name, nets, made.name, e, made.head)
							}
							explained[column] = true
						}
					}
					if !found {
						t.Errorf("%s, table %s: %q explains no column that this test knows", name, made.name, e)
					}
				}
			}
		}
	}
	for _, column := range about {
		if !explained[column] {
			t.Errorf("column %q is explained nowhere", column)
		}
	}
}
