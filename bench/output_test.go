package bench

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/models"
)

// self is a command that runs the benchmarks of this binary that match the pattern, one
// iteration each.
func self(t *testing.T, pattern string) *exec.Cmd {
	if testing.Short() {
		t.Skip("-short, as under emulation, where a program cannot start itself")
	}
	return exec.Command(os.Args[0], "-test.run=^$", "-test.benchtime=1x", "-test.cpu=1", "-test.bench="+pattern)
}

// output runs these benchmarks and returns the values of each line by unit.
func output(t *testing.T, pattern string) map[string]map[string]float64 {
	t.Helper()
	out, err := self(t, pattern).Output()
	if err != nil {
		t.Fatal(err)
	}
	results := map[string]map[string]float64{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		values := map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			if values[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		results[fields[0]] = values
	}
	return results
}

// printed tells whether got is want, up to the four digits of printed metrics.
func printed(got, want float64) bool { return got > 0.999*want && got < 1.001*want }

// TestLayerOutput checks the metrics of a layer's lines against the model and the plan.
func TestLayerOutput(t *testing.T) {
	defer plans.close()
	m, err := models.Lookup("squeezenet1.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range numberTypes {
		checkLayerOutput(t, m, typ)
	}
}

func checkLayerOutput(t *testing.T, m *graph.Model, typ *numberType) {
	sets, err := typ.sets()
	if err != nil {
		t.Fatal(err)
	}
	set := sets[0]
	const layer = "fire2.expand3x3"
	results := output(t, "Layer/net=squeezenet1.1$/layer="+layer+"$/op=/type="+typ.name+"$/algo=/isa="+set.ISA.String()+"$")
	picks := 0.0
	measured := 0
	for _, algo := range kernels.Algorithms() {
		var step graph.Step
		for _, s := range plans.get(t, m, typ, set, algo, 1, true).Steps() {
			if s.Name == layer {
				step = s
			}
		}
		if step.Algo != algo {
			continue // not a candidate for this layer
		}
		measured++
		name := "BenchmarkLayer/net=squeezenet1.1/layer=" + layer + "/op=conv3x3/type=" + typ.name + "/algo=" + algo + "/isa=" + set.ISA.String()
		got := results[name]
		if got == nil {
			t.Fatalf("no %s in %v", name, results)
		}
		macs, bytes := float64(step.Cost.MACs), float64(step.Cost.Bytes())
		for unit, want := range map[string]float64{
			typ.rate:      2 * macs / got["ns/op"],
			typ.intensity: 2 * macs / bytes,
			typ.busy:      got["peak-%"] * float64(step.Executed) / macs,
		} {
			if !printed(got[unit], want) {
				t.Errorf("%s, %v: %v %s, expected %v", typ.name, algo, got[unit], unit, want)
			}
		}
		if pick := got["pick"]; pick != 0 && pick != 1 {
			t.Errorf("%v: pick is %v", algo, pick)
		}
		picks += got["pick"]
	}
	if len(results) != measured || measured < 2 || picks != 1 {
		t.Errorf("%s: %d lines, %v of them picked, expected one for each of %d candidates and one pick: %v", typ.name, len(results), picks, measured, results)
	}
}

// TestNetOutput: a batch of eight counts eight times the model's multiply-adds.
func TestNetOutput(t *testing.T) {
	m, err := models.Lookup("squeezenet1.1")
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	var macs int64
	for _, n := range nodes {
		macs += n.Cost.MACs
	}
	for _, typ := range numberTypes {
		sets, err := typ.sets()
		if err != nil {
			t.Fatal(err)
		}
		config := "/type=" + typ.name + "/algo=auto/isa=" + sets[0].ISA.String()
		results := output(t, "Net/net=squeezenet1.1$/batch=/type="+typ.name+"$/algo=auto/isa="+sets[0].ISA.String()+"$")
		for batch, images := range map[string]float64{"batch=1": 1, "batch=8": 8} {
			got := results["BenchmarkNet/net=squeezenet1.1/"+batch+config]
			if want := 2 * float64(macs) * images / got["ns/op"]; got == nil || !printed(got[typ.rate], want) {
				t.Errorf("%s, %s: %v %s, expected %v", typ.name, batch, got[typ.rate], typ.rate, want)
			}
		}
	}
}
