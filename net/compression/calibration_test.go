package compression

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"firebench/net/files"
	"firebench/net/models"
)

// written returns what Write writes.
func written(t *testing.T, c *Calibration) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWriteLoad: what is loaded is what was written.
func TestWriteLoad(t *testing.T) {
	m, w := tiny()
	c := calibrate(t, m, w)
	c.Method = Percentile
	path := filepath.Join(t.TempDir(), "calibration.json")
	if err := os.WriteFile(path, written(t, c), 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path, m)
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("loaded %+v, error %v, want %+v", got, err, c)
	}
	nowhere := filepath.Join(path, "calibration.json")
	if _, err := Load(nowhere, m); err == nil || !strings.HasPrefix(err.Error(), nowhere+": ") {
		t.Errorf("error %v, want one that names %s", err, nowhere)
	}
	if err := c.Write(new(files.Pending)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a closed file: error %v", err)
	}
	c.Values[0].Scale = float32(math.NaN())
	if err := c.Write(io.Discard); err == nil {
		t.Error("a scale of NaN is written")
	}
}

// TestLoadRefuses changes one thing in a file.
func TestLoadRefuses(t *testing.T) {
	m, w := tiny()
	path := filepath.Join(t.TempDir(), "calibration.json")
	good := string(written(t, calibrate(t, m, w)))
	field := func(name string) string { // the first one
		rest := good[strings.Index(good, `"`+name+`": `):]
		return rest[:strings.IndexAny(rest, ",\n")]
	}
	scale, zero := field("scale"), field("zero")
	prob := good[strings.Index(good, ",\n\t\t{\n\t\t\t\"name\": \"prob\""):strings.LastIndex(good, "\n\t]")]
	for _, test := range []struct{ old, new, want string }{
		{good, "", "not a calibration: EOF"},
		{good, "weights", "not a calibration: invalid character 'w'"},
		{good, "[]", "not a calibration: it is array, expected struct"},
		{good, good + good, "not a calibration: more than one JSON value"},
		{good, good + strings.Repeat(" ", 2<<20), "bytes, expected at most"},
		{`"model"`, `"modell"`, `not a calibration: json: unknown field "modell"`},
		{`"zero"`, `"zer"`, `not a calibration: json: unknown field "zer"`},
		{`"tiny"`, `"small"`, `model is "small", expected "tiny"`},
		{`"minmax"`, `"mean"`, `not a calibration: unknown method "mean", expected minmax, percentile or kl`},
		{`"minmax"`, "3", "not a calibration: method is number, expected a string: minmax, percentile or kl"},
		{`"minmax"`, "[]", "not a calibration: method is array, expected a string: minmax, percentile or kl"},
		{`"minmax"`, `""`, `not a calibration: unknown method "", expected minmax, percentile or kl`},
		{`"minmax"`, "null", "no method, expected minmax, percentile or kl"},
		{`"method": "minmax",`, "", "no method, expected minmax, percentile or kl"},
		{field("images"), `"images": 0`, "images is 0, expected at least 1"},
		{scale, `"scale": 0`, "values[0]: scale of input is 0, expected a positive number"},
		{scale, `"scale": -1`, "values[0]: scale of input is -1, expected a positive number"},
		{scale, `"scale": NaN`, "not a calibration: invalid character 'N'"},
		{scale, `"scale": 1e39`, "not a calibration: values.scale is number 1e39, expected float32"},
		{scale, `"scale": "1"`, "not a calibration: values.scale is string, expected float32"},
		{scale + ",", "", "values[0]: scale of input is 0"},
		{zero, `"zero": 256`, "values[0]: zero of input is 256, expected 0 to 255"},
		{zero, `"zero": -1`, "values[0]: zero of input is -1, expected 0 to 255"},
		{zero, `"zero": 1.5`, "not a calibration: values.zero is number 1.5, expected int32"},
		{`"name": "b"`, `"name": "bb"`, `values[3]: name is "bb", expected "b"`},
		{prob, "", `values: 11 of 12, the first that is missing is "prob"`},
		{prob, prob + prob, `values[12]: name is "prob", expected no more values`},
	} {
		if !strings.Contains(good, test.old) {
			t.Fatalf("the file has no %q", test.old)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(good, test.old, test.new, 1)), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, m)
		if err == nil || !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q instead of %q: error %v, want one with the file's name and %q", test.new, test.old, err, test.want)
		}
	}
}

// TestCheck has what a file cannot hold, and other models.
func TestCheck(t *testing.T) {
	m, w := tiny()
	for want, change := range map[string]func(c *Calibration){
		"values[0]: scale of input is NaN, expected a positive number":            func(c *Calibration) { c.Values[0].Scale = float32(math.NaN()) },
		"values[11]: scale of prob is +Inf, expected a positive number":           func(c *Calibration) { c.Values[11].Scale = float32(math.Inf(1)) },
		"unknown method Method(9)":                                                func(c *Calibration) { c.Method = 9 },
		"values[5]: pool has the type u8(scale 0.5, zero 1), and its input c has": func(c *Calibration) { c.Values[5] = Value{"pool", 0.5, 1} },
		"values[4]: c has the type u8(scale 0.5, zero 1), and its input a.relu":   func(c *Calibration) { c.Values[4] = Value{"c", 0.5, 1} },
	} {
		c := calibrate(t, m, w)
		change(c)
		if err := c.Check(m); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	c := &Calibration{Model: "tiny", Method: MinMax, Images: 1}
	if err := c.Check(m); err == nil || err.Error() != `values: 0 of 12, the first that is missing is "input"` {
		t.Errorf("no values: error %v", err)
	}
	for _, other := range models.All() {
		if err := c.Check(other); err == nil || !strings.Contains(err.Error(), other.Name) {
			t.Errorf("%s: error %v", other.Name, err)
		}
	}
}
