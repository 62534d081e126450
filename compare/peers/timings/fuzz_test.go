package timings

import (
	"io"
	"reflect"
	"strings"
	"testing"
)

// FuzzParse: whatever a file holds is an error or a run, which can be printed and, once written, be read
// again.
func FuzzParse(f *testing.F) {
	var b strings.Builder
	if err := example().Write(&b); err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(b.String()) { // short inputs
		f.Add(line + "BenchmarkPeer/net=a/type=f32/impl=firebench 1 5 ns/op\n")
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parse([]byte(text), "f")
		if err != nil {
			return
		}
		if err := r.WriteText(io.Discard); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		again, err := parse([]byte(b.String()), "f")
		if err != nil {
			t.Fatalf("%v in\n%s", err, &b)
		}
		if !reflect.DeepEqual(again.Rows, r.Rows) || len(again.Skips) != len(r.Skips) || len(again.Samples) != len(r.Samples) {
			t.Errorf("read\n%+v\nand again\n%+v", r, again)
		}
	})
}
