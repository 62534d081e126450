package bench

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"firebench/bench/model"
	"firebench/kernels"
	"firebench/net/graph"
)

// self is a command that runs the benchmarks of this binary that match the pattern, one
// iteration each.
func self(t *testing.T, pattern string) *exec.Cmd {
	if testing.Short() {
		t.Skip("-short, as under emulation, where a program cannot start itself")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.benchtime=1x", "-test.cpu=1", "-test.bench="+pattern)
	cmd.Env = append(os.Environ(), model.Variable+"=")
	return cmd
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
	n := lookup(t, "squeezenet1.1")
	for _, typ := range numberTypes {
		checkLayerOutput(t, n, typ)
	}
}

func checkLayerOutput(t *testing.T, n *network, typ *numberType) {
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
		for _, s := range plans.get(t, n, typ, set, algo, 1, true).Steps() {
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
	nodes, err := lookup(t, "squeezenet1.1").Infer()
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

// TestKernelOutput: each tile is measured, on as many multiply-adds as its name says, for each of conv1's
// 3×3×3 products.
func TestKernelOutput(t *testing.T) {
	for _, typ := range numberTypes {
		sets, err := typ.sets()
		if err != nil {
			t.Fatal(err)
		}
		set := sets[0]
		family := map[*numberType]string{float32Type: "conv_f32", int8Type: "conv_u8"}[typ]
		prefix := "BenchmarkKernel/net=squeezenet1.1/layer=conv1/type=" + typ.name + "/isa=" + set.ISA.String() + "/kernel="
		results := output(t, "Kernel/net=squeezenet1.1$/layer=conv1$/type="+typ.name+"$/isa="+set.ISA.String()+"$")
		widths := map[*numberType][2]int{
			float32Type: {set.F32.Conv.Wide.Width, set.F32.Conv.Narrow.Width},
			int8Type:    {set.U8.Conv.Wide.Width, set.U8.Conv.Narrow.Width},
		}[typ]
		if len(results) != 2 && widths[0] != widths[1] || len(results) != 1 && widths[0] == widths[1] {
			t.Errorf("%s: %v, expected tiles of %v channels", typ.name, results, widths)
		}
		for name, got := range results {
			var pixels, channels int
			var isa string
			if _, err := fmt.Sscanf(strings.TrimPrefix(name, prefix), family+"_%dx%d_%s", &pixels, &channels, &isa); err != nil || isa != set.ISA.String() {
				t.Errorf("%s: %v, expected %s%s_<height>x<width>_%v", name, err, prefix, family, set.ISA)
				continue
			}
			ops := 2 * float64(pixels*channels*3*3*3)
			if want := ops / got["ns/op"]; !printed(got[typ.rate], want) {
				t.Errorf("%s: %v %s, expected %v", name, got[typ.rate], typ.rate, want)
			}
			bytes := 3*(2*pixels+1)*3 + pixels*channels + 3*3*3*channels // at stride 2
			if typ == float32Type {
				bytes = 4 * (bytes + channels) // and biases
			} else {
				bytes += (4 + 4) * channels // biases and scales
			}
			if want := ops / float64(bytes); !printed(got[typ.intensity], want) {
				t.Errorf("%s: %v %s, expected %v", name, got[typ.intensity], typ.intensity, want)
			}
		}
	}
}
