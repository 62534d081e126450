package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/weights"
)

// TestBoundProcessors: GOMAXPROCS does not go around the limit of -threads.
func TestBoundProcessors(t *testing.T) {
	most := threadsPerProcessor * runtime.NumCPU()
	for _, n := range []int{1, most, most + 1} {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
		boundProcessors()
		if got := runtime.GOMAXPROCS(0); got != min(n, most) {
			t.Errorf("GOMAXPROCS %d became %d, want %d", n, got, min(n, most))
		}
	}
}

func TestReport(t *testing.T) {
	var b strings.Builder
	Report(&b, "classify", errors.New("a\nb\r.jpg: bad"))
	if want := "classify: a\\nb\\r.jpg: bad\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestCalibrationAlgo: there is such an algorithm.
func TestCalibrationAlgo(t *testing.T) {
	if err := kernels.CheckAlgorithm(calibrationAlgo); err != nil {
		t.Error(err)
	}
}

// TestWeightsType: the network is compiled with weights of the type that the flag names, and it is an error
// if no layer has such weights.
func TestWeightsType(t *testing.T) {
	set, err := kernels.For(kernels.Scalar)
	if err != nil {
		t.Fatal(err)
	}
	conv := graph.Node{Name: "conv", Layer: layer.Conv{Out: 4, Kernel: 3}}
	dense := graph.Node{Name: "fc", Layer: layer.Dense{Out: 5}}
	for _, c := range []struct {
		nodes []graph.Node
		wt    kernels.WeightsType
		want  string // part of what is said of the plan, or of the error
	}{
		{[]graph.Node{conv, dense}, kernels.Float32Weights, ""},
		{[]graph.Node{conv, dense}, kernels.Float16Weights, "f16 weights in fc (off by 0.02"},
		{[]graph.Node{conv, dense}, kernels.Int8Weights, "i8 weights in fc (off by 0."},
		{[]graph.Node{conv}, kernels.Int8Weights, "net: -weights-type i8, but no float32 layer with weights has one pixel as its result"},
	} {
		n := Network{Model: &graph.Model{Name: "net", Input: layer.Shape{H: 8, W: 8, C: 3}, Nodes: c.nodes}, Set: set, WeightsType: c.wt}
		p, err := n.Compile(weights.Random(1), nil)
		got := fmt.Sprint(err)
		if err == nil {
			got = RoundedWeights(p)
			p.Close()
		}
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%d nodes, %v: %q, want %q", len(c.nodes), c.wt, got, c.want)
		}
	}
}

func TestProgress(t *testing.T) {
	var b strings.Builder
	p := NewProgress(&b) // no terminal
	p.Show("%d of %d", 1, 2)
	p.Clear()
	if b.Len() > 0 {
		t.Errorf("%q without a terminal", b.String())
	}
	p.on = true
	p.Clear()
	p.Show("%d of %d", 1, 2)
	p.Show("%d of %d", 2, 2)
	p.Clear()
	p.Clear()
	if want := "\r\x1b[K1 of 2\r\x1b[K2 of 2\r\x1b[K"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestParse: the help goes to standard output, and wrong usage, one line, to standard error.
func TestParse(t *testing.T) {
	wrong := errors.New("wrong")
	usage := func(w io.Writer) { io.WriteString(w, "usage") }
	for _, test := range []struct {
		err            error
		status         int
		ok             bool
		stdout, stderr string
	}{
		{nil, 0, true, "", ""},
		{flag.ErrHelp, 0, false, "usage", ""},
		{wrong, 2, false, "", "name: wrong\n"},
	} {
		var stdout, stderr strings.Builder
		parse := func(args []string) (int, error) { return len(args), test.err }
		n, status, ok := Parse("name", []string{"a", "b"}, parse, usage, &stdout, &stderr)
		if n != 2 || status != test.status || ok != test.ok || stdout.String() != test.stdout || stderr.String() != test.stderr {
			t.Errorf("%v: %d, status %d, %v, output %q, standard error %q", test.err, n, status, ok, &stdout, &stderr)
		}
	}
	var stderr strings.Builder
	if status := Status(&stderr, "name", nil); status != 0 || stderr.String() != "" {
		t.Errorf("no error: status %d, standard error %q", status, &stderr)
	}
	if status := Status(&stderr, "name", wrong); status != 1 || stderr.String() != "name: wrong\n" {
		t.Errorf("an error: status %d, standard error %q", status, &stderr)
	}
}
