package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A numberType is what a network computes with, and what is reported of its multiply-adds. The units
// differ where the operations do, so that benchstat sets nothing side by side that cannot be compared;
// times can.
type numberType struct {
	name        string // as type= has it
	multiplyAdd string // as op= of BenchmarkPeak has it

	rate      string // the unit of operations per second
	intensity string // the unit of operations per byte
	busy      string // the unit of the share of the peak that executed multiply-adds take

	// values is a type of the kernels' inputs and outputs, and fill makes a view of it random.
	values kernels.Type
	fill   func(v kernels.View, r *rand.Rand)

	// kernels returns what sets have in common that have the same kernels for the type.
	kernels func(set *kernels.Set) any

	// tiles returns the tiles of convolutions.
	tiles func(set *kernels.Set) []tile

	// peak returns a function that runs n rounds of so many multiply-adds, as many as the processor can.
	peak func(set *kernels.Set) (run func(n int), macs int)
}

var (
	float32Type = &numberType{
		name: "f32", multiplyAdd: "fma",
		rate: "GFLOP/s", intensity: "FLOP/B", busy: "fma-%",
		fill: func(v kernels.View, r *rand.Rand) {
			for i := range kernels.Data[float32](v) {
				kernels.Data[float32](v)[i] = float32(r.NormFloat64())
			}
		},
		kernels: func(set *kernels.Set) any { return set.F32 },
		tiles:   func(set *kernels.Set) []tile { return tilesOf("conv_f32", set.ISA, set.F32.Conv) },
		peak:    func(set *kernels.Set) (func(n int), int) { return set.F32.FMAPeak, set.F32.PeakFMAs },
	}
	int8Type = &numberType{
		name: "int8", multiplyAdd: "mac",
		rate: "GOP/s", intensity: "OP/B", busy: "mac-%",
		values: kernels.Type{Element: kernels.Uint8, Scale: 1},
		fill: func(v kernels.View, r *rand.Rand) {
			for i := range v.Memory {
				v.Memory[i] = byte(r.Uint32())
			}
		},
		kernels: func(set *kernels.Set) any { return set.U8 },
		tiles:   func(set *kernels.Set) []tile { return tilesOf("conv_u8", set.ISA, set.U8.Conv) },
		peak:    func(set *kernels.Set) (func(n int), int) { return set.U8.MACPeak, set.U8.PeakMACs },
	}
	numberTypes = []*numberType{float32Type, int8Type}
)

// units are those that this package adds to testing's, but for pick, of which neither value is better, and
// weights-error-%, of which less is.
func units() []string {
	all := []string{"peak-%", "GB/s", "read-%", "images/s"}
	for _, t := range numberTypes {
		all = append(all, t.rate, t.intensity, t.busy)
	}
	return all
}

// sets returns the instruction sets with kernels of their own for the type, best first. Those of a set
// that has another's kernels would be the same benchmarks once more.
func (t *numberType) sets() ([]*kernels.Set, error) {
	isas, err := kernels.Supported()
	if err != nil {
		return nil, err
	}
	var sets []*kernels.Set
	for _, isa := range isas {
		set, err := kernels.For(isa)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(sets, func(s *kernels.Set) bool { return t.kernels(s) == t.kernels(set) }) {
			sets = append(sets, set)
		}
	}
	slices.Reverse(sets)
	return sets, nil
}

// eachType runs f as a sub-benchmark for every type of a network.
func eachType(b *testing.B, n *network, f func(b *testing.B, t *numberType)) {
	for _, t := range n.types {
		sub(b, "type="+t.name, func(b *testing.B) { f(b, t) })
	}
}

// eachISA runs f as a sub-benchmark for every instruction set with kernels of its own for the type, best
// first.
func (t *numberType) eachISA(b *testing.B, f func(b *testing.B, set *kernels.Set)) {
	sets, err := t.sets()
	if err != nil {
		b.Fatal(err)
	}
	for _, set := range sets {
		sub(b, fmt.Sprintf("isa=%v", set.ISA), func(b *testing.B) { f(b, set) })
	}
}

// TestSets: all kernels that this machine can use are measured, each with the first of the sets that
// have them.
func TestSets(t *testing.T) {
	isas, err := kernels.Supported()
	if err != nil {
		t.Fatal(err)
	}
	for typ, half := range map[*numberType]func(set *kernels.Set) any{
		float32Type: func(set *kernels.Set) any { return set.F32 },
		int8Type:    func(set *kernels.Set) any { return set.U8 },
	} {
		sets, err := typ.sets()
		if err != nil {
			t.Fatal(err)
		}
		var want []kernels.ISA // best first
		seen := map[any]bool{}
		for _, isa := range isas {
			set, err := kernels.For(isa)
			if err != nil {
				t.Fatal(err)
			}
			if !seen[half(set)] {
				want = slices.Insert(want, 0, isa)
			}
			seen[half(set)] = true
			if typ == float32Type && slices.Contains(want, isa) != (isa.Float32() == isa) {
				t.Errorf("%v: sets with kernels of their own are %v, but Float32 is %v", isa, want, isa.Float32())
			}
		}
		var got []kernels.ISA
		for _, set := range sets {
			got = append(got, set.ISA)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: measured with %v, expected %v", typ.name, got, want)
		}
	}
}

// TestSameLayers: the layers of both types have the same names, operations and stages, in one order, but
// for those that convert values, which begin no stage.
func TestSameLayers(t *testing.T) {
	defer plans.close()
	names := []string{"squeezenet1.1", "alexnet"}
	if testing.Short() {
		names = names[:1] // the random weights of the other take long under emulation
	}
	for _, name := range names {
		n := lookup(t, name)
		infos, err := n.Infer()
		if err != nil {
			t.Fatal(err)
		}
		quantized, _ := plans.model(t, n, int8Type)
		others, err := quantized.Infer()
		if err != nil {
			t.Fatal(err)
		}
		row := func(n graph.Info) string { return fmt.Sprint(n.Name, " ", n.Layer.Op(), " ", n.Stage) }
		var want, got []string
		stages := map[string]bool{}
		for _, n := range infos {
			want = append(want, row(n))
			stages[n.Stage] = true
		}
		converts := 0
		for _, n := range others {
			switch n.Layer.(type) {
			case layer.Quantize, layer.Dequantize:
				converts++
				if !stages[n.Stage] {
					t.Errorf("%s: stage %s has only %s", name, n.Stage, n.Name)
				}
			default:
				got = append(got, row(n))
			}
		}
		if !slices.Equal(got, want) || converts < 2 {
			t.Errorf("%s: %d conversions, and in int8\n%q, in float32\n%q", name, converts, got, want)
		}
	}
}
