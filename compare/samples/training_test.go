package samples

import (
	"strings"
	"testing"
)

// TestPass: a pass is told from others and from inference, and only those that the benchmarks have are read.
func TestPass(t *testing.T) {
	const layer = "BenchmarkLayer/net=alexnet/layer=conv3/op=conv3x3/type=f32"
	const step = "BenchmarkTrain/net=alexnet/batch=32/type=f32"
	in := layer + "/algo=direct/isa=avx2 10 20000000 ns/op\n"
	for _, pass := range passes[Layer] {
		in += layer + "/batch=8/pass=" + pass + "/algo=direct/isa=avx2 10 20000000 ns/op\n"
	}
	for _, pass := range passes[Net] {
		// A step does not have the multiply-adds of the network.
		in += step + "/pass=" + pass + "/algo=auto/isa=avx2-2 10 20000000 ns/op 1 GFLOP/s\n"
	}
	d, stderr := load(t, false, []byte(head+in))
	if stderr != "" || d.Results != 8 || len(d.Cells) != 8 {
		t.Errorf("%d results, %d cells, stderr %q", d.Results, len(d.Cells), stderr)
	}
	net := d.byName["alexnet"]
	inference := Config{Threads: 1, Batch: 1, Type: F32}
	for k := range d.Cells {
		switch {
		case k.Part == net.Whole && (k.Pass == "" || k.Batch != 32 || k.Threads != 2):
			t.Errorf("%+v", k)
		case k.Part != net.Whole && (k.Pass == "") != (k.Batch == inference.Batch):
			t.Errorf("%+v", k)
		}
		if text := k.Config.String(); (k.Pass != "") != strings.HasSuffix(text, ", training "+k.Pass) {
			t.Errorf("%+v is %q", k.Config, text)
		}
	}
	for _, test := range []struct{ line, want string }{
		{step + "/algo=auto/isa=avx2 10 20000000 ns/op\n", `pass= in the name: "", expected one of step, forward, backward, update`},
		{step + "/pass=grad-input/algo=auto/isa=avx2 10 20000000 ns/op\n", `pass= in the name: "grad-input"`},
		{layer + "/pass=step/algo=auto/isa=avx2 10 20000000 ns/op\n", `pass= in the name: "step", expected one of forward, grad-input, grad-weight`},
	} {
		if d, stderr := load(t, false, []byte(head+good+test.line)); !strings.Contains(stderr, test.want) || d.Results != 1 {
			t.Errorf("%s%d results, stderr %q, expected %q", test.line, d.Results, stderr, test.want)
		}
	}
}
