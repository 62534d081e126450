package weights

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/tensor"
)

// published compiles squeezenet1.0 with its published weights.
func published(t *testing.T, o graph.Options) *graph.Plan {
	t.Helper()
	w, err := Open(kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := lookup(t, "squeezenet1.0")
	p, err := graph.Compile(m, w, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// readShared reads a tensor of the shared data.
func readShared(t *testing.T, name string) *tensor.Tensor {
	t.Helper()
	x, err := tensor.ReadNPYFile(kerneltest.Shared(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// run runs p on x.
func run(t *testing.T, p *graph.Plan, x *tensor.Tensor) {
	t.Helper()
	if err := x.ToView(p.Input()); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
}

func absMax(s []float32) float64 {
	m := 0.0
	for _, v := range s {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

// TestGoldenLogits compares the network with another implementation's results. Bounds
// are relative to the largest logit.
func TestGoldenLogits(t *testing.T) {
	bounds := map[string]float64{"direct": 1e-4, "winograd": 1e-3}
	inputs := 3
	if testing.Short() {
		inputs = 1
	}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		for algo, relative := range bounds {
			p := published(t, graph.Options{Set: set, Algo: algo})
			for i := range inputs {
				run(t, p, readShared(t, fmt.Sprintf("golden/input%d.npy", i)))
				want := readShared(t, fmt.Sprintf("golden/logits%d.npy", i))
				got := tensor.FromView(p.Logits())
				if !slices.Equal(want.Dims, got.Dims[:len(want.Dims)]) {
					t.Fatalf("logits have the shape %s, want %s", got.Shape(), want.Shape())
				}
				bound := relative * absMax(want.Data)
				for c, v := range got.Data {
					if d := math.Abs(float64(v - want.Data[c])); !(d <= bound) {
						t.Errorf("%v, input %d, class %d: logit %v, want %v ± %.2g", algo, i, c, v, want.Data[c], bound)
					}
				}
			}
		}
	})
}

// nodeName translates the original names of SqueezeNet's layers.
func nodeName(original string) string {
	switch original {
	case "gap", "logits":
		return "pool10"
	}
	fire := regexp.MustCompile(`^fire\d$`)
	if fire.MatchString(original) {
		return original + ".concat"
	}
	return strings.NewReplacer(
		"/conv1x1_1", ".squeeze1x1",
		"/conv1x1_2", ".expand1x1",
		"/conv3x3_2", ".expand3x3",
	).Replace(original)
}

// TestGoldenNodes compares statistics of every node for one image, computed directly.
func TestGoldenNodes(t *testing.T) {
	file, err := os.ReadFile(kerneltest.Shared(t, "golden/nodes0.json"))
	if err != nil {
		t.Fatal(err)
	}
	var nodes map[string]struct {
		Dims         []int
		Mean, AbsMax float64
		First        []float64
	}
	if err := json.Unmarshal(file, &nodes); err != nil {
		t.Fatal(err)
	}
	if len(nodes) < 40 {
		t.Fatalf("%d nodes, expected those of a whole network", len(nodes))
	}
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		p := published(t, graph.Options{Set: set, Algo: "direct", KeepAll: true})
		run(t, p, readShared(t, "golden/input0.npy"))
		for original, want := range nodes {
			v, ok := p.Node(nodeName(original))
			if !ok {
				t.Errorf("%s: no node %s", original, nodeName(original))
				continue
			}
			x := tensor.FromView(v)
			if !slices.Equal(want.Dims, x.Dims[:len(want.Dims)]) {
				t.Errorf("%s: shape %s, want %v", original, x.Shape(), want.Dims)
				continue
			}
			mean := 0.0
			for _, value := range x.Data {
				mean += float64(value)
			}
			mean /= float64(len(x.Data))
			bound := 1e-4 * want.AbsMax
			close := func(what string, got, want float64) {
				if !(math.Abs(got-want) <= bound) {
					t.Errorf("%s: %s is %.7g, want %.7g ± %.2g", original, what, got, want, bound)
				}
			}
			close("mean", mean, want.Mean)
			close("largest absolute value", absMax(x.Data), want.AbsMax)
			for i, w := range want.First {
				close(fmt.Sprintf("value %d", i), float64(x.Data[i]), w)
			}
		}
	})
}
