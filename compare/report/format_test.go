package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
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
		Runs, Machine, Networks, Stages, Layers, Candidates []any
		Notes                                               []string
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Runs) != 1 {
		t.Fatalf("%d runs, want 1", len(r.Runs))
	}
	want := []int{1, len(r.Machine), len(r.Networks), len(r.Stages), len(r.Layers), len(r.Candidates), len(r.Notes)}

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
		if len(rows)-1 != want[i] || want[i] == 0 {
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
