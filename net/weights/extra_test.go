package weights

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"firebench/net/models"
)

// TestExtra: what a file holds besides the weights is read as it was written, and Open does not see it.
func TestExtra(t *testing.T) {
	m, err := models.Lookup("squeezenet1.1")
	if err != nil {
		t.Fatal(err)
	}
	want := Extra{
		Metadata: map[string]string{"b": "text", "a/": ""},
		Floats:   map[string][]float32{"momentum/conv1": {1, -2.5}, "floats/x": {3}},
		Bytes:    map[string][]byte{"codes": {0, 255, 7}, "kept/conv1": {1}},
	}
	var plain, more bytes.Buffer
	if err := WriteSafetensors(&plain, m, Random(1)); err != nil {
		t.Fatal(err)
	}
	if err := WriteWithExtra(&more, m, Random(1), want); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(more.Bytes())
	w, got, err := OpenWithExtra(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	var again bytes.Buffer
	if err := WriteSafetensors(&again, m, w); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Bytes(), plain.Bytes()) {
		t.Error("the weights are others")
	}
	for _, c := range []struct{ old, new, want string }{
		{`"extra/floats/floats/x":{"dtype":"F32"`, `"extra/bytes/floats//x":{"dtype":"F32"`, `: tensor "extra/bytes/floats//x": unknown, of type F32`},
		{`"extra/floats/floats/x":{"dtype":"F32"`, `"extra/floats/floats/x":{"dtype":"F16"`, `: safetensors: header: tensor "extra/floats/floats/x": type is "F16", expected F32 or U8`},
		{`"conv1.bias":{"dtype":"F32"`, `"conv1.bias":{"dtype":"U8" `, `: safetensors: header: tensor "conv1.bias": type is "U8", expected F32, F16 or BF16`},
	} {
		if len(c.old) != len(c.new) || !strings.Contains(more.String(), c.old) {
			t.Fatalf("%q for %q", c.new, c.old)
		}
		write([]byte(strings.Replace(more.String(), c.old, c.new, 1)))
		if _, _, err := OpenWithExtra(path); err == nil || err.Error() != path+c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}
