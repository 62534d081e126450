package report

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// side shows a side of a row: algorithm, milliseconds, share of the network.
func (s typeSide) String() string {
	if s.time == nil {
		return "-"
	}
	out := fmt.Sprint(s.algo, " ", s.time.ms.median)
	if s.netPct != nil {
		out += fmt.Sprintf(" %.4g%%", float64(*s.netPct))
	}
	return out
}

// typeRows shows rows.
func typeRows(rows []typeRow) []string {
	var out []string
	for _, r := range rows {
		s := fmt.Sprint(r.title, ": ", r.layer, " ", r.op, ": ", r.sides[0], ", ", r.sides[1])
		if r.overF32 != nil {
			s += fmt.Sprint(", × ", r.overF32.median)
		}
		out = append(out, s)
	}
	return out
}

// Both types of a layer stand in one row, each with its pick and on its instruction set, and the sums
// say how much of the network multiplies nothing.
func TestTypes(t *testing.T) {
	const conv1, conv2 = "net=alexnet/layer=conv1", "net=alexnet/layer=conv2"
	vnni := func(lines string) string { return strings.ReplaceAll(quantized(lines), "isa=avx2", "isa=avx512-vnni") }
	f32 := func(lines string) string { return strings.ReplaceAll(lines, "isa=avx2", "isa=avx512") }
	layer := func(name string, ms float64) string {
		return lines("Layer/net=alexnet/layer="+name+"/op=any/algo=direct/isa=avx2", ms)
	}
	net := func(algo string, ms float64) string { return lines("Net/net=alexnet/algo="+algo+"/isa=avx2", ms) }
	r := rowsOf(t,
		f32(marked(conv1, "direct", 0, 6)+marked(conv1, "winograd", 1, 4)+marked(conv2, "direct", 1, 8)+layer("pool1", 2)+layer("norm1", 1)+
			net("auto", 20)+net("direct", 25)),
		vnni(marked(conv1, "direct", 1, 2)+marked(conv1, "winograd", 0, 3)+marked(conv2, "direct", 0, 5)+marked(conv2, "winograd", 1, 4)+layer("pool1", 0.5)+
			layer("input.quantize", 0.25)+layer("conv1.relu.dequantize", 0.125)+net("auto", 8)+net("direct", 10)),
		// Less good instruction sets, and another network.
		quantized(layer("pool1", 9)), strings.ReplaceAll(quantized(layer("pool1", 9)), "isa=avx2", "isa=avx512"), layer("pool1", 9),
		vnni(lines("Layer/net=alexnet-owt/layer=pool1/op=any/algo=direct/isa=avx2", 1)))
	want := []string{
		"input.quantize quantize: -, 0.25 3.125%",
		"conv1 conv11x11: winograd 4 20%, direct 2 25%, × 2",
		"conv1.relu.dequantize dequantize: -, 0.125 1.562%",
		"norm1 lrn: 1 5%, -",
		"pool1 maxpool: 2 10%, 0.5 6.25%, × 4",
		"conv2 conv5x5: direct 8 40%, winograd 4 50%, × 2",
		"sum conv, dense: 12 60%, 6 75%, × 2",
		"sum others: 3 15%, 0.875 10.94%, × 3.42857",
		"net : auto 20, auto 8, × 2.5",
	}
	for i := range want {
		want[i] = "alexnet, avx512 (int8: avx512-vnni), 1 thread: " + want[i]
	}
	want = append(want, "alexnet-owt, avx512 (int8: avx512-vnni), 1 thread: pool1 maxpool: -, 1", "alexnet-owt, avx512 (int8: avx512-vnni), 1 thread: sum others: -, 1")
	got := typeRows(r.types)
	for i := range got { // a side without an algorithm begins with a space
		got[i] = strings.ReplaceAll(got[i], ":  ", ": ")
		got[i] = strings.ReplaceAll(got[i], ",  ", ", ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// The table of layers has them one below the other.
	got = nil
	for _, l := range r.layers {
		got = append(got, fmt.Sprint(l.title, ": ", l.part.Name, " ", l.config.ISA, " ", l.config.Type, " ", l.ms.median))
	}
	want = []string{
		"input.quantize avx512-vnni int8 0.25",
		"conv1 avx512 f32 4",
		"conv1 avx512-vnni int8 2",
		"conv1.relu.dequantize avx512-vnni int8 0.125",
		"norm1 avx512 f32 1",
		"pool1 avx512 f32 2",
		"pool1 avx512-vnni int8 0.5",
		"conv2 avx512 f32 8",
		"conv2 avx512-vnni int8 4",
	}
	for i := range want {
		want[i] = "avx512 (int8: avx512-vnni), 1 thread: " + want[i]
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// Numbers of threads have rows of their own.
	two := func(lines string) string { return strings.ReplaceAll(lines, "isa=avx2", "isa=avx2-2") }
	r = rowsOf(t, marked(conv1, "direct", 1, 6)+two(marked(conv1, "direct", 1, 3)), quantized(marked(conv1, "direct", 1, 4)+two(marked(conv1, "direct", 1, 2))))
	if len(r.types) != 4 || r.types[0].title != "alexnet, avx2, 1 thread" || r.types[2].title != "alexnet, avx2, 2 threads" || r.types[2].overF32.median != 1.5 {
		t.Errorf("one thread and two: %s", typeRows(r.types))
	}
	got = nil
	for _, l := range r.layers {
		got = append(got, l.title)
	}
	if want := []string{"avx2, 1 thread", "avx2, 1 thread", "avx2, 2 threads", "avx2, 2 threads"}; !slices.Equal(got, want) {
		t.Errorf("titles %q, want %q", got, want)
	}

	// Without int8 there is nothing to compare.
	if r := rowsOf(t, f32(marked(conv1, "direct", 1, 6)+net("auto", 20))); len(r.types) > 0 {
		t.Errorf("float32 alone: %s", typeRows(r.types))
	}
}

// A quantized network is compared with the same network in float32: with its algorithm, threads and
// batch, on the instruction set that has the same float32 kernels.
func TestOverF32(t *testing.T) {
	name := func(algo, isa string) string { return "Net/net=alexnet/algo=" + algo + "/isa=" + isa }
	r := rowsOf(t, lines(name("auto", "avx512"), 10)+lines(name("direct", "avx512"), 20)+lines(name("auto", "avx512-2"), 6)+
		lines(name("auto", "avx2"), 11)+lines("Net/net=alexnet/batch=8/algo=auto/isa=avx512", 64)+
		quantized(lines(name("auto", "avx512-vnni"), 2)+lines(name("direct", "avx512-vnni"), 5)+lines(name("auto", "avx512-vnni-2"), 2)+
			lines(name("winograd", "avx512-vnni"), 2)+lines(name("auto", "avx512"), 8)+lines(name("auto", "avx2"), 4)+
			lines("Net/net=alexnet/batch=8/algo=auto/isa=avx512-vnni", 32)+lines("Net/net=alexnet/batch=4/algo=auto/isa=avx512-vnni", 32)))
	var got []string
	for _, n := range r.networks {
		s := fmt.Sprint(n.title, ": ", n.config.ISA, " ", n.config.Type, " ", n.config.Algo)
		if n.overF32 != nil {
			s += fmt.Sprint(" × ", n.overF32.median)
		}
		got = append(got, s)
	}
	want := []string{
		"1 thread: avx512 f32 auto",
		"1 thread: avx512 f32 direct",
		"1 thread: avx512-vnni int8 auto × 5",
		"1 thread: avx512-vnni int8 direct × 4",
		"1 thread: avx512-vnni int8 winograd",
		"1 thread: avx512 int8 auto × 1.25",
		"1 thread: avx2 f32 auto",
		"1 thread: avx2 int8 auto × 2.75",
		"1 thread, batch 4: avx512-vnni int8 auto",
		"1 thread, batch 8: avx512 f32 auto",
		"1 thread, batch 8: avx512-vnni int8 auto × 2",
		"2 threads: avx512 f32 auto",
		"2 threads: avx512-vnni int8 auto × 3",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	// The ratios are those within the samples, whatever other samples have: the machine was half as fast
	// during the first three of six.
	r = rowsOf(t, lines(name("auto", "avx2"), 20, 22, 24, 12, 11, 10)+quantized(lines(name("auto", "avx2"), 10, 11, 12, 6, 5, 5)))
	e := r.networks[1].overF32
	if near(t, "median", e.median, 2); e.n != 6 {
		t.Errorf("%d samples, want 6", e.n)
	}
	near(t, "low", *e.lo, 2)
	near(t, "high", *e.hi, 2.2)
	// Of unequal numbers the first are taken.
	for _, ms := range [][2][]float64{{{20, 22}, {10}}, {{20}, {10, 22}}} {
		if e := rowsOf(t, lines(name("auto", "avx2"), ms[0]...)+quantized(lines(name("auto", "avx2"), ms[1]...))).networks[1].overF32; e.n != 1 || e.median != 2 {
			t.Errorf("%v: %+v", ms, e)
		}
	}
}
