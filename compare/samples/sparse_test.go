package samples

import (
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
)

// Times with zeros are kept apart from each other and from those of the network's weights.
func TestZeros(t *testing.T) {
	line := func(name, zeros, algo string) string {
		return "Benchmark" + name + "/net=alexnet/layer=conv3/op=conv3x3" + zeros + "/algo=" + algo + "/isa=avx2 10 2000000 ns/op 1 pick\n"
	}
	d, stderr := load(t, false, []byte(head+line("Layer", "", "direct")+
		line("Sparse", "/density=0.1/pattern=vector", "rows")+line("Sparse", "/density=0.1/pattern=vector", "direct")+
		line("Sparse", "/density=0.33/pattern=vector", "direct")+line("Sparse", "/density=0.1/pattern=unstructured", "sparse")))
	if stderr != "" || d.Results != 5 {
		t.Fatalf("%d results, stderr %q", d.Results, stderr)
	}
	n, err := Lookup(d.Networks, "alexnet")
	if err != nil {
		t.Fatal(err)
	}
	p, c := n.Find(Layer, "conv3"), Config{ISA: kernels.AVX2, Threads: 1, Batch: 1, Type: F32}
	for zeros, want := range map[Zeros][]string{
		{}: {"direct"}, {Vector, 0.1}: {"direct", "rows"}, {Vector, 0.33}: {"direct"}, {Unstructured, 0.1}: {"sparse"}, {Unstructured, 0.33}: nil,
	} {
		c := c.WithZeros(zeros)
		if got := d.Algos(p, c); !slices.Equal(got, want) {
			t.Errorf("%v: algorithms %q, want %q", zeros, got, want)
		}
		for _, algo := range want {
			if cell := d.Cells[Key{Part: p, Config: c.With(algo)}]; len(cell.Values) != 1 || !cell.Picked() {
				t.Errorf("%v, %s: %+v", zeros, algo, cell)
			}
		}
	}
}

func TestBadZeros(t *testing.T) {
	for name, want := range map[string]string{
		"layer=conv3/density=0.1/algo=rows":                 `pattern= in the name: "", expected vector or unstructured`,
		"layer=conv3/density=0.1/pattern=block/algo=rows":   `pattern= in the name: "block", expected vector or unstructured`,
		"layer=conv3/pattern=vector/algo=rows":              `density= in the name: "", expected a number between 0 and 1`,
		"layer=conv3/density=0/pattern=vector/algo=rows":    `density= in the name: "0", expected a number between 0 and 1`,
		"layer=conv3/density=1/pattern=vector/algo=rows":    `density= in the name: "1", expected a number between 0 and 1`,
		"layer=conv3/density=NaN/pattern=vector/algo=rows":  `density= in the name: "NaN", expected a number between 0 and 1`,
		"layer=conv3/density=0.1/pattern=vector/algo=other": `algo= in the name: "other", expected one of ` + strings.Join(kernels.Algorithms(), ", "),
		"layer=conv3/density=0.1/pattern=vector":            `algo= in the name: "", expected one of ` + strings.Join(kernels.Algorithms(), ", "),
		"layer=conv9/density=0.1/pattern=vector/algo=rows":  `layer= in the name: alexnet has no layer "conv9"`,
	} {
		d, stderr := load(t, false, []byte(head+good+"BenchmarkSparse/net=alexnet/"+name+"/isa=avx2 10 2000000 ns/op\n"))
		if stderr != "0.txt:6: "+want+"\n" || d.Results != 1 {
			t.Errorf("%s: %d results, stderr %q, want %q", name, d.Results, stderr, want)
		}
	}
}

// The tables list vectors first, and the sparsest layers of a pattern.
func TestZerosOrder(t *testing.T) {
	want := []Config{{}, {Zeros: Zeros{Vector, 0.1}}, {Zeros: Zeros{Vector, 0.5}}, {Zeros: Zeros{Unstructured, 0.2}}}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Config.Compare)
	if !slices.Equal(got[len(got)-1:], want[:1]) || !slices.Equal(got[:3], want[1:]) {
		t.Errorf("order %v, want %v", got, want)
	}
}
