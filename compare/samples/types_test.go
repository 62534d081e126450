package samples

import (
	"slices"
	"testing"

	"firebench/kernels"
)

// A name without a type is one of float32; each type has units of its own.
func TestType(t *testing.T) {
	const net = "BenchmarkLayer/net=alexnet/layer=conv3/op=conv3x3"
	const metrics = " 10 2000000 ns/op 5 peak-% 7 fma-% 9 mac-%\n"
	d, stderr := load(t, false, []byte(head+net+"/algo=direct/isa=avx2"+metrics+net+"/type=f32/algo=winograd/isa=avx2"+metrics+
		net+"/type=int8/algo=direct/isa=avx2"+metrics+
		"BenchmarkPeak/op=fma/isa=avx2 10 5 ns/op 100 GFLOP/s 400 GOP/s\nBenchmarkPeak/op=mac/isa=avx2 10 5 ns/op 100 GFLOP/s 400 GOP/s\n"))
	if stderr != "" {
		t.Fatal(stderr)
	}
	net3, err := Lookup(d.Networks, "alexnet")
	if err != nil {
		t.Fatal(err)
	}
	p := net3.Find(Layer, "conv3")
	c := Config{ISA: kernels.AVX2, Threads: 1, Batch: 1}
	for typ, want := range map[string]struct {
		algos []string
		busy  float64
	}{F32: {[]string{"direct", "winograd"}, 7}, Int8: {[]string{"direct"}, 9}} {
		c.Type = typ
		if got := d.Algos(p, c); !slices.Equal(got, want.algos) {
			t.Errorf("%s: algorithms %q, want %q", typ, got, want.algos)
		}
		if cell := d.Cells[Key{Part: p, Config: c.With("direct")}]; cell == nil || !slices.Equal(cell.BusyPct, []float64{want.busy}) || len(cell.OwnPeak) != 1 {
			t.Errorf("%s: %+v, want %v %% busy", typ, cell, want.busy)
		}
	}
	for rate, want := range map[string]float64{FMA: 100, MAC: 400} {
		if cell := d.Cells[Key{Rate: rate, Config: c.machine()}]; cell == nil || !slices.Equal(cell.Values, []float64{want}) {
			t.Errorf("%s: %+v, want %v", rate, cell, want)
		}
	}
}

// The multiply-adds of int8 are those of the model, too.
func TestTypeDoubt(t *testing.T) {
	const line = "BenchmarkNet/net=alexnet/type=int8/isa=avx2 10 20000000 ns/op "
	for metrics, want := range map[string]string{
		"72.4 GOP/s": "", "1 GFLOP/s": "", // which int8 does not report
		"1 GOP/s": "0.txt:5: 1 GOP/s, but the multiply-adds of the model's table give 72.44: another version of the model?\n",
	} {
		if _, stderr := load(t, false, []byte(head+line+metrics+"\n")); stderr != want {
			t.Errorf("%s: stderr %q, want %q", metrics, stderr, want)
		}
	}
}

// What int8 is compared with has the same float32 kernels, and is beside it in the order of the tables.
func TestFloat32(t *testing.T) {
	config := func(isa kernels.ISA, threads int, typ string) Config {
		return Config{ISA: isa, Threads: threads, Batch: 1, Type: typ, Algo: "auto"}
	}
	for _, isa := range []struct{ int8, f32 kernels.ISA }{
		{kernels.Scalar, kernels.Scalar}, {kernels.AVX2, kernels.AVX2}, {kernels.AVX512, kernels.AVX512},
		{kernels.AVX512VNNI, kernels.AVX512}, {kernels.NEON, kernels.NEON}, {kernels.NEONDotProd, kernels.NEON},
	} {
		if got, want := config(isa.int8, 2, Int8).Float32(), config(isa.f32, 2, F32); got != want {
			t.Errorf("%v: %+v, want %+v", isa.int8, got, want)
		}
	}
	if got, want := config(kernels.AVX512VNNI, 2, Int8).Scalar(), (Config{Threads: 2, Batch: 1, Type: F32, Algo: Direct}); got != want {
		t.Errorf("portable Go: %+v, want %+v", got, want)
	}
	want := []Config{
		config(kernels.AVX512, 1, F32), config(kernels.AVX512VNNI, 1, Int8), config(kernels.AVX512, 1, Int8),
		config(kernels.AVX512, 2, F32), config(kernels.AVX512VNNI, 2, Int8),
		config(kernels.AVX2, 1, F32), config(kernels.AVX2, 1, Int8),
		config(kernels.Scalar, 1, F32), config(kernels.Scalar, 1, Int8),
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Config.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("order\n%v, want\n%v", got, want)
	}
}

// The layers of both types are in one list, in the order in which they run; those that convert values
// cost nothing in float32.
func TestQuantizedFacts(t *testing.T) {
	n, err := Lookup(facts, "alexnet")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range n.Layers {
		names = append(names, l.Name)
		if converts := l.Op == "quantize" || l.Op == "dequantize"; converts != (l.Cost == kernels.Cost{} && l.int8.Activations > 0) {
			t.Errorf("%s, %s: costs %+v in float32, %+v in int8", l.Name, l.Op, l.Cost, l.int8)
		}
		if l.CostOf(F32) != l.Cost || l.CostOf(Int8) != l.int8 || l.Cost.MACs != l.int8.MACs {
			t.Errorf("%s: costs %+v in float32, %+v in int8", l.Name, l.CostOf(F32), l.CostOf(Int8))
		}
	}
	want := []string{"input.quantize", "conv1", "conv1.relu", "conv1.relu.dequantize", "norm1", "pool1", "pool1.quantize", "conv2"}
	if !slices.Equal(names[:len(want)], want) {
		t.Errorf("layers %q, want %q", names[:len(want)], want)
	}
	// A byte for each weight; a bias and a scale for each of 4096 outputs.
	if got, want := n.Find(Layer, "fc7").int8.Weights, int64(4096*4096+8*4096); got != want {
		t.Errorf("fc7 has %d bytes of weights, want %d", got, want)
	}
	if n.Whole.int8.Weights >= n.Whole.Cost.Weights/3 || n.Whole.int8.MACs != n.Whole.Cost.MACs {
		t.Errorf("the network costs %+v in float32, %+v in int8", n.Whole.Cost, n.Whole.int8)
	}
}
