package kernels_test

import (
	"fmt"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
)

// TestHalo: BindHalo fills the halo with zeros and writes nothing else, and refuses a view that
// does not fit its memory.
func TestHalo(t *testing.T) {
	for halo := range 3 {
		for _, l := range []layout{{halo: halo}, {halo: halo, before: 2, after: 1}} {
			x := random(1, 2, 3, 4, 5).in(l)
			v := x.view(make([]float32, x.size()))
			task, err := kernels.BindHalo(v)
			if err != nil {
				t.Fatal(err)
			}
			run(task, 2)
			what := fmt.Sprintf("layout %+v", l)
			kerneltest.ZeroHalo(t, what, v)
			kerneltest.Unwritten(t, what, v)
			if !slices.Equal(values(v), x.values) {
				t.Errorf("%s: the image changed", what)
			}
		}
	}
	short := kernels.NewView(kernels.Type{}, 1, 3, 3, 2, 1)
	short.Memory = short.Memory[4:]
	_, err := kernels.BindHalo(short)
	checkError(t, "short", err, []string{"halo", "spans"})
}
