package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchproc"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const bench = "testdata/bench.txt"

// compare runs the command.
func compare(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	status = run(args, &out, &err)
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

func TestGolden(t *testing.T) {
	for _, format := range []string{"text", "md", "csv", "json"} {
		t.Run(format, func(t *testing.T) {
			status, got, stderr := compare(t, "-format", format, bench)
			if status != 0 || stderr != "" {
				t.Fatalf("status %d, stderr:\n%s", status, stderr)
			}
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

// The CSV and JSON forms can be read, and hold the same rows.
func TestMachineReadable(t *testing.T) {
	_, text, _ := compare(t, "-format", "json", bench)
	var r struct {
		Machine                              []struct{ Peaks []any }
		Networks, Stages, Layers, Candidates []any
		Notes                                []string
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Machine) != 1 {
		t.Fatalf("%d machines, want 1", len(r.Machine))
	}
	want := []int{1, len(r.Machine[0].Peaks), len(r.Networks), len(r.Stages), len(r.Layers), len(r.Candidates), len(r.Notes)}

	_, text, _ = compare(t, "-format", "csv", bench)
	sections := strings.Split(strings.TrimSuffix(text, "\n"), "\n\n")
	if len(sections) != len(want) {
		t.Fatalf("%d CSV sections, want %d", len(sections), len(want))
	}
	for i, s := range sections {
		rows, err := csv.NewReader(strings.NewReader(s)).ReadAll() // rows of one length
		if err != nil {
			t.Errorf("section %d: %v", i, err)
		}
		if len(rows)-1 != want[i] || want[i] == 0 {
			t.Errorf("section %q: %d rows, JSON has %d", rows[0], len(rows)-1, want[i])
		}
	}
}

func TestTablesFlag(t *testing.T) {
	_, got, _ := compare(t, "-format", "md", "-tables", "stages,networks", bench)
	if !strings.Contains(got, "### Networks") || !strings.Contains(got, "### Stages") {
		t.Errorf("a table is missing:\n%s", got)
	}
	if strings.Count(got, "### ") != 2 || strings.Contains(got, "layers with") {
		t.Errorf("a table or note too many:\n%s", got)
	}
	for _, name := range tableNames {
		_, got, _ = compare(t, "-format", "json", "-tables", name, bench)
		var r map[string]any
		if err := json.Unmarshal([]byte(got), &r); err != nil {
			t.Fatal(err)
		}
		if len(r) != 2 || r[name] == nil || r["notes"] == nil {
			t.Errorf("JSON of -tables %s has %d keys:\n%s", name, len(r), got)
		}
	}
}

// Our pairs are those of go tool benchstat -filter /algo:auto -col /net -row /stage, with its p-values.
func TestPairsLikeBenchstat(t *testing.T) {
	f, err := os.Open(bench)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	filter, err := benchproc.NewFilter(".name:Stage /algo:auto")
	if err != nil {
		t.Fatal(err)
	}
	var parser benchproc.ProjectionParser
	project := func(s string) *benchproc.Projection {
		p, err := parser.Parse(s, filter)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	tableBy, rowBy, colBy := project(".config,.name,/algo,/isa,/gomaxprocs"), project("/stage"), project("/net")
	residue := parser.Residue()
	type place struct{ table, row, col benchproc.Key }
	values := make(map[place][]float64)
	residues := make(map[place]map[benchproc.Key]bool)
	in := benchfmt.NewReader(f, bench)
	for in.Scan() {
		switch rec := in.Result().(type) {
		case *benchfmt.SyntaxError:
			t.Fatal(rec)
		case *benchfmt.Result:
			if ok, _ := filter.Apply(rec); !ok {
				continue
			}
			at := place{tableBy.Project(rec), rowBy.Project(rec), colBy.Project(rec)}
			sec, ok := rec.Value("sec/op")
			if !ok {
				t.Fatalf("%s: no sec/op", rec.Name)
			}
			values[at] = append(values[at], sec)
			if residues[at] == nil {
				residues[at] = make(map[benchproc.Key]bool)
			}
			residues[at][residue.Project(rec)] = true
		}
	}
	pairs := make(map[[3]string][2][]float64) // by stage, isa and threads
	for at, v := range values {
		if len(residues[at]) != 1 {
			t.Errorf("%v: benchstat would merge rows that vary in %v", at.row, residues[at])
		}
		threads := at.table.Get(tableBy.Fields()[4])
		if threads == "" {
			threads = "1"
		}
		key := [3]string{at.row.StringValues(), at.table.Get(tableBy.Fields()[3]), threads}
		p := pairs[key]
		p[slices.Index([]string{"squeezenet1.0", "alexnet"}, at.col.StringValues())] = v
		pairs[key] = p
	}

	d, _ := load(t, false, readFile(t, bench))
	r := d.report(net(t, "squeezenet1.0"), net(t, "alexnet"), []string{"stages"})
	compared := 0
	for _, row := range r.Stages {
		if row.Stage == "sum" || row.Stage == "net" {
			continue
		}
		key := [3]string{row.Stage, row.ISA, strconv.Itoa(row.Threads)}
		p, ok := pairs[key]
		if !ok {
			t.Errorf("benchstat has no row for %v", key)
			continue
		}
		delete(pairs, key)
		if p[0] == nil || p[1] == nil {
			if row.Ratio != nil || row.P != nil {
				t.Errorf("%v: paired, but benchstat has nothing to pair", key)
			}
			continue
		}
		a := benchmath.NewSample(p[0], &benchmath.DefaultThresholds)
		b := benchmath.NewSample(p[1], &benchmath.DefaultThresholds)
		sa, sb := benchmath.AssumeNothing.Summary(a, 0.95), benchmath.AssumeNothing.Summary(b, 0.95)
		near(t, row.Stage+" a", row.A.Time.Ms.Median, 1e3*sa.Center)
		near(t, row.Stage+" b low", *row.B.Time.Ms.Lo, 1e3*sb.Lo)
		near(t, row.Stage+" b high", *row.B.Time.Ms.Hi, 1e3*sb.Hi)
		near(t, row.Stage+" ratio", *row.Ratio, sa.Center/sb.Center)
		near(t, row.Stage+" p", *row.P, benchmath.AssumeNothing.Compare(a, b).P)
		compared++
	}
	if len(pairs) > 0 || compared == 0 {
		t.Errorf("%d pairs compared, not in the report: %v", compared, pairs)
	}
}

func near(t *testing.T, what string, got number, want float64) {
	t.Helper()
	if !(math.Abs(float64(got)/want-1) < 1e-9) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "no benchmark file"},
		{[]string{"-format", "xml", bench}, `-format "xml": expected text, md, csv or json`},
		{[]string{"-nets", "alexnet", bench}, "expected two different networks"},
		{[]string{"-nets", "alexnet,alexnet", bench}, "expected two different networks"},
		{[]string{"-nets", "alexnet,vgg", bench}, `unknown network "vgg", expected one of squeezenet1.0, `},
		{[]string{"-tables", "layers,x", bench}, `unknown table "x", expected some of machine,networks,stages,layers,candidates`},
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
	for format := range formats {
		var stderr bytes.Buffer
		if status := run([]string{"-format", format, bench}, failingWriter{}, &stderr); status != 1 || !strings.Contains(stderr.String(), "writing the report: disk full") {
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
	for _, want := range []string{"open " + missing, "1 of 2 files could not be read"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr %q, want %q in it", stderr, want)
		}
	}
	status, stdout, stderr = compare(t, missing)
	if status != 1 || stdout != "" || !strings.Contains(stderr, "no usable results in "+missing) {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	if status, _, stderr = compare(t, t.TempDir(), bench); status != 1 || !strings.Contains(stderr, "director") {
		t.Errorf("a folder: status %d, stderr %q", status, stderr)
	}
}

func TestSameFileTwice(t *testing.T) {
	_, once, _ := compare(t, bench)
	status, twice, stderr := compare(t, bench, "./"+bench)
	if status != 0 || !strings.Contains(stderr, "the same file as") || once != twice {
		t.Errorf("status %d, stderr %q, same report: %v", status, stderr, once == twice)
	}
}

func TestMixedMachines(t *testing.T) {
	text := string(readFile(t, bench))
	for key, change := range map[string]string{
		"cpu":    strings.ReplaceAll(text, "cpu: Example CPU 3000", "cpu: Other\x1b[2J CPU"),
		"goos":   strings.ReplaceAll(text, "goos: linux", "goos: darwin"),
		"goarch": strings.ReplaceAll(text, "goarch: amd64", "goarch: arm64"),
		"cores":  strings.ReplaceAll(text, "cores: 2", "cores: 4"),
		"cpu ":   strings.ReplaceAll(text, "cpu: Example CPU 3000 @ 2.40GHz\n", ""),
	} {
		other := file(t, "other.txt", change)
		status, stdout, stderr := compare(t, bench, other)
		if status != 1 || stdout != "" {
			t.Errorf("%s: status %d, want 1; stdout:\n%s", key, status, stdout)
		}
		want := regexp.MustCompile(`^compare: different machines: ` + regexp.QuoteMeta(bench) + `:\d+ has ` + strings.TrimSpace(key) + ` ".+", ` +
			regexp.QuoteMeta(other) + `:\d+ has ` + strings.TrimSpace(key) + ` ".*" \(-mix shows them side by side\)\n$`)
		if !want.MatchString(stderr) || strings.Contains(stderr, "\x1b") {
			t.Errorf("%s: stderr %q does not match %s", key, stderr, want)
		}

		status, stdout, stderr = compare(t, "-mix", "-format", "json", bench, other)
		if status != 0 || stderr != "" {
			t.Fatalf("%s: -mix: status %d, stderr %q", key, status, stderr)
		}
		var r report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		var rows [3]int
		for _, n := range r.Networks {
			rows[n.Machine]++
			if n.Ms.N != 6 {
				t.Errorf("%s: -mix pooled %d samples of two machines", key, n.Ms.N)
			}
		}
		if len(r.Machine) != 2 || rows[1] == 0 || rows[1] != rows[2] {
			t.Errorf("%s: -mix: %d machines, rows of each: %v", key, len(r.Machine), rows[1:])
		}
	}

	// Within one file, too, and the machines' other facts do not matter.
	within := file(t, "within.txt", text+strings.ReplaceAll(text, "cores: 2", "cores: 8"))
	if status, _, stderr := compare(t, within); status != 1 || !strings.Contains(stderr, `within.txt:14 has cores "2"`) {
		t.Errorf("two machines in a file: status %d, stderr %q", status, stderr)
	}
	lowered := file(t, "lowered.txt", strings.ReplaceAll(text, "isas: scalar avx512", "isas: scalar"))
	status, stdout, stderr := compare(t, lowered, bench)
	if status != 0 || stderr != "" || !strings.Contains(stdout, "instruction sets scalar avx512") {
		t.Errorf("one machine with FIREBENCH_ISA lowered: status %d, stderr %q", status, stderr)
	}
	_, stdout, _ = compare(t, "-mix", bench, file(t, "other.txt", strings.ReplaceAll(text, "cores: 2", "cores: 4")))
	for _, want := range []string{"Machine 2: CPU Example", "\nmachine 2, avx512, 1 thread, auto\n", "\nalexnet, machine 2, avx512, 1 thread\n"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("-mix: no %q in\n%s", want, stdout)
		}
	}
}
