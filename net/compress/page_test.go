package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebench/compare/peers/timings"
	"firebench/kernels"
	"firebench/net/cli"
)

// TestPageInputs: what stops the page before it is long at work, and leaves the old page alone.
func TestPageInputs(t *testing.T) {
	dir := t.TempDir()
	text := write(t, dir, "text.bin", []byte("text"))
	old := write(t, dir, "page.md", []byte("old"))
	for _, test := range []struct {
		calibrate, want string
		more            []string
	}{
		{photographs(t, 3), text + ": ", nil},
		{photographs(t, 1), "-calibrate: one picture, expected more", nil},
		{filepath.Dir(text), ": no picture in it", nil},
		{photographs(t, 3), "text.bin: no usable result of BenchmarkPeer", []string{"-peers", text}},
	} {
		status, stdout, stderr := runCommand(t, append([]string{"-page", old, "-weights", text, "-small", text, "-rounds", "1", "-calibrate", test.calibrate}, test.more...)...)
		checkError(t, test.want, 1, status, stdout, stderr)
	}
	if page, err := os.ReadFile(old); err != nil || string(page) != "old" {
		t.Errorf("the page is %q, %v", page, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("the folder has %v", entries)
	}
}

// TestSplit: no photograph that calibrates is measured.
func TestSplit(t *testing.T) {
	dir, more := photographs(t, 5), photographs(t, 1)
	o, err := parse([]string{"-page", "p.md", "-weights", "w", "-small", "s", "-calibrate", dir, "-images", more})
	if err != nil {
		t.Fatal(err)
	}
	p := &page{command: &command{options: o}}
	if err := p.split(); err != nil {
		t.Fatal(err)
	}
	in := func(dir string, names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, "daisy", name+".png"))
		}
		return paths
	}
	if want := in(dir, "0", "2", "4"); !slices.Equal(p.calibrate, want) {
		t.Errorf("%q calibrate, want %q", p.calibrate, want)
	}
	if want := append(in(dir, "1", "3"), in(more, "0")...); !slices.Equal(p.measure, want) {
		t.Errorf("%q are measured, want %q", p.measure, want)
	}
}

// TestPageText: the head of the page, and times of other engines.
func TestPageText(t *testing.T) {
	best, err := kernels.Best()
	if err != nil {
		t.Fatal(err)
	}
	set, err := kernels.For(best)
	if err != nil {
		t.Fatal(err)
	}
	peers := &timings.Run{Recorded: "today"}
	peers.Add(timings.Row{Net: "a", Type: cli.F32, Threads: 1}, timings.Firebench, timings.Sample{Calls: 1, NS: 2e6})
	peers.Add(timings.Row{Net: "a", Type: cli.F32, Threads: 1}, "other", timings.Sample{Calls: 1, NS: 3e6})
	peers.Add(timings.Row{Net: "a", Type: cli.Int8, Threads: 1}, "other", timings.Sample{Calls: 1, NS: 4e6})
	peers.Add(timings.Row{Net: "b", Type: cli.F32, Threads: 2}, "third", timings.Sample{Calls: 1, NS: 5e6})
	p := &page{command: &command{options: options{Network: cli.Network{Set: set, Threads: 1}, rounds: 2}, args: []string{"-page", "p.md"}}, peers: peers, calibrate: make([]string, 3), measure: make([]string, 2)}
	p.begin(func(key string) string { return "<" + key + ">" })
	p.beside("a")
	p.beside("b")
	text := p.text.String()
	for _, want := range []string{
		"# Compression\n\nWritten by `go run ./net/compress -page p.md` on <cpu>, ",
		"\n|  | bytes | smaller | top-1 | top-5 |\n|---|---:|---:|---:|---:|\n| AlexNet | 240 MB | 1× | 57.2 % | 80.3 % |\n",
		"| SqueezeNet, Deep Compression, 6 bits | 0.47 MB | 510× | 57.5 % | 80.3 % |\n",
		"the statistics of 3 photographs. Other 2 are measured.",
		"\n\n| ms | float32 | int8 |\n|---|---:|---:|\n| firebench | 2.00 | - |\n| other | 3.00 | 4.00 |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "third") || strings.Contains(text, "%!") {
		t.Errorf("the text is\n%s", text)
	}
	if got := smaller(480_000); got != "500×" {
		t.Errorf("480,000 bytes are %s", got)
	}
}

// TestLayersBeside: layers of a step beside those of the first one, all or those that are computed otherwise.
func TestLayersBeside(t *testing.T) {
	l := &ladder{steps: []*step{
		{layers: []layerRow{{name: "a", algorithm: "direct", weights: 10, nonzeros: 10, ms: 3}, {name: "b", algorithm: "winograd", weights: 10, nonzeros: 10, ms: 4}}},
		{layers: []layerRow{{name: "a", algorithm: "sparse", weights: 10, nonzeros: 2, ms: 1.5}, {name: "b", algorithm: "winograd", weights: 10, nonzeros: 5, ms: 4}}},
	}}
	rows := l.layersBeside(1, func(dense, sparse layerRow) bool { return dense.algorithm != sparse.algorithm })
	if want := strings.Split("a,0.20,direct,3.00,sparse,1.50,2.00", ","); len(rows) != 2 || !slices.Equal(rows[1], want) {
		t.Errorf("%q, want %q", rows, want)
	}
	if rows := l.layersBeside(1, func(_, _ layerRow) bool { return true }); len(rows) != 3 || len(rows[0]) != len(rows[2]) {
		t.Errorf("all layers: %q", rows)
	}
}
