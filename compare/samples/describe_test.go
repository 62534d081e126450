package samples

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"firebench/net/models"
)

// described are the comments that describe a model under another name.
func described(t testing.TB, model, name string) string {
	t.Helper()
	m, err := models.Lookup(model)
	if err != nil {
		t.Fatal(err)
	}
	m.Name = name
	layers, err := Describe(m)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, l := range layers {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

// TestDescription: a network that a file describes is the same as one of a model.
func TestDescription(t *testing.T) {
	for _, want := range facts {
		var desc description
		for line := range strings.Lines(described(t, want.Name, want.Name)) {
			text, ok := strings.CutPrefix(line, layerComment)
			if !ok {
				t.Fatalf("%q does not begin as the comment of a layer", line)
			}
			if err := desc.add(text); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(desc.layers, want.layers) {
			t.Fatalf("%s:\n%v, want\n%v", want.Name, desc.layers, want.layers)
		}
		if got := newNetwork(desc.layers); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: another network", want.Name)
		}
	}
}

// TestDescriptionText: the form of the comment is what recorded files have.
func TestDescriptionText(t *testing.T) {
	text := described(t, "alexnet", "mine")
	for _, want := range []string{
		"# layer net=mine layer=input.quantize op=quantize stage=stem out=227x227x3 macs=0 params=0 f32-activations=0 f32-weights=0 int8-activations=772935 int8-weights=0\n",
		"# layer net=mine layer=conv1 op=conv11x11 stage=stem out=55x55x96 macs=105415200 params=34944 f32-activations=1779948 f32-weights=139776 int8-activations=444987 int8-weights=35616\n",
		"# layer net=mine layer=fc6 op=dense stage=head out=1x1x4096 macs=37748736 params=37752832 f32-activations=53248 f32-weights=151011328 int8-activations=13312 int8-weights=37781504\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %sin\n%s", want, text)
		}
	}
}

func TestDescribedNetwork(t *testing.T) {
	const rows = "BenchmarkNet/net=mine/isa=avx2 10 20000000 ns/op\nBenchmarkLayer/net=mine/layer=conv1/op=conv7x7/isa=avx2 10 20000000 ns/op\n" +
		"BenchmarkStage/net=mine/stage=55/isa=avx2 10 20000000 ns/op\n"
	mine := described(t, "squeezenet1.0", "mine")
	first, others, _ := strings.Cut(mine, "\n")
	for _, test := range []struct {
		name    string
		files   []string
		results int
		want    string // of each warning
	}{
		{"once", []string{mine + rows}, 3, ""},
		{"by each of several processes", []string{mine + mine + rows + mine + rows + mine}, 6, ""},
		{"in each file", []string{mine + rows, mine + rows}, 6, ""},
		{"in one file", []string{mine + rows, rows}, 6, ""},
		{"not", []string{good + rows}, 1, `net= in the name: unknown network "mine", expected one of squeezenet1.0, `},
		{"too late", []string{good + rows + mine}, 1, `net= in the name: unknown network "mine"`},
		{"otherwise than before", []string{mine + rows, good + others + rows}, 4, "net= in the name: mine: it is described otherwise than in 0.txt"},
		{"in two ways", []string{good + mine + strings.Replace(first, "params=0", "params=1", 1) + "\n" + rows}, 1,
			"net= in the name: mine: layer input.quantize of mine is described in two ways"},
		{"like one of the models", []string{described(t, "alexnet", "alexnet") + good}, 1, ""},
		{"in two files, then not", []string{mine + rows, others + rows + good, rows}, 7, "net= in the name: mine: it is described otherwise than in 0.txt"},
		{"unlike one of the models", []string{described(t, "alexnet-owt", "alexnet") + good + strings.ReplaceAll(good, "alexnet", "alexnet-owt")}, 1,
			"net= in the name: alexnet: it is described otherwise than the network that this suite has by that name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := New(facts, false)
			var log bytes.Buffer
			for i, text := range test.files {
				if err := d.Read(strings.NewReader(head+text), fmt.Sprintf("%d.txt", i), &log); err != nil {
					t.Fatal(err)
				}
			}
			if d.Results != test.results {
				t.Errorf("%d results, want %d", d.Results, test.results)
			}
			for line := range strings.Lines(log.String()) {
				if test.want == "" || !strings.Contains(line, test.want) {
					t.Errorf("warning %q, want %q", line, test.want)
				}
			}
			if (log.Len() > 0) != (test.want != "") {
				t.Errorf("warnings %q, want %q", log.String(), test.want)
			}
		})
	}
	nets := slices.Grow(slices.Clone(facts), 1)
	if err := New(nets, false).Read(strings.NewReader(head+mine+rows), "x.txt", io.Discard); err != nil || nets[:len(nets)+1][len(nets)] != nil {
		t.Errorf("reading has changed the caller's networks, or fails: %v", err)
	}
}

func TestBadDescription(t *testing.T) {
	line, _, _ := strings.Cut(described(t, "squeezenet1.1", "mine"), "\n")
	for _, test := range []struct{ old, new, want string }{
		{"net=mine", "net=", `net= in the comment: "", expected a name`},
		{"net=mine ", "", `net= in the comment: ""`},
		{"net=mine", "net=a/b", `net= in the comment: "a/b"`},
		{"net=mine", "net=" + strings.Repeat("x", maxOwnName+1), "expected a name"},
		{"layer=input.quantize", "layer=\x01", `layer= in the comment: "\x01", expected a name`},
		{"layer=input.quantize", "layer=\xff", `layer= in the comment: "\xff", expected a name`},
		{"op=quantize", "op=", `op= in the comment: "", expected a short word`},
		{"stage=stem", "stage=Stem", `stage= in the comment: "Stem", expected a short word`},
		{"out=224x224x3", "out=224x224", `out= in the comment: "224x224", expected a shape`},
		{"out=224x224x3", "out=0x224x3", `out= in the comment: "0x224x3", expected a shape`},
		{"out=224x224x3", "out=99999x99999x3", `expected a shape`},
		{"out=224x224x3", "out=224x224x3x", `out= in the comment: "224x224x3x", expected a shape`},
		{"macs=0", "macs=-1", `macs= in the comment: "-1", expected a number from 0 to 1000000000000000`},
		{"params=0", "params=1000000000000001", `params= in the comment: "1000000000000001"`},
		{"f32-weights=0", "f32-weights=x", `f32-weights= in the comment: "x"`},
		{"int8-weights=0", "", `int8-weights= in the comment: ""`},
		{"int8-weights=0", "int8-weights=0 more=1", `"more=1" in the comment of a layer`},
	} {
		text := strings.Replace(line, test.old, test.new, 1)
		if text == line {
			t.Fatalf("no %q in %q", test.old, line)
		}
		d, stderr := load(t, false, []byte(head+text+"\n"+good))
		if !strings.HasPrefix(stderr, "0.txt:5: ") || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: stderr %q, want %q", test.new, stderr, test.want)
		}
		if len(d.Networks) != len(facts) || d.Results != 1 {
			t.Errorf("%q: %d networks, %d results", test.new, len(d.Networks), d.Results)
		}
	}
}

// TestTooMuchDescribed: a file cannot describe networks without end.
func TestTooMuchDescribed(t *testing.T) {
	layer := func(net, name string) string {
		return fmt.Sprintf("# layer net=%s layer=%s op=relu stage=1 out=1x1x1 macs=%d params=0 f32-activations=8 f32-weights=0 int8-activations=2 int8-weights=0\n", net, name, int64(maxCost))
	}
	row := func(net string) string {
		return "BenchmarkNet/net=" + net + "/isa=avx2 10 20000000 ns/op\n"
	}
	read := func(parts ...string) (d *Data, stderr string) {
		d = New(facts, false)
		var log bytes.Buffer
		var readers []io.Reader
		for _, p := range append([]string{head}, parts...) {
			readers = append(readers, strings.NewReader(p))
		}
		if err := d.Read(io.MultiReader(readers...), "x.txt", &log); err != nil {
			t.Fatal(err)
		}
		return d, log.String()
	}

	var nets strings.Builder
	for i := range maxNetworks + 1 {
		nets.WriteString(layer(fmt.Sprint("net", i), "a"))
	}
	last := fmt.Sprint("net", maxNetworks)
	d, stderr := read(nets.String(), row("net0"), row(last))
	if want := "net= in the name: " + last + ": more than 16 networks are described\n"; !strings.HasSuffix(stderr, want) || d.Results != 1 || len(d.described) != maxNetworks {
		t.Errorf("%d results, %d networks, stderr %q, want %q", d.Results, len(d.described), stderr, want)
	}

	var layers strings.Builder
	for i := range maxLayers {
		layers.WriteString(layer("net", fmt.Sprint("layer", i)))
	}
	d, stderr = read(layers.String(), row("net"))
	if stderr != "" || d.Results != 1 || d.byName["net"].Whole.Cost.MACs != maxLayers*maxCost {
		t.Errorf("%d results, stderr %q, %d multiply-adds", d.Results, stderr, d.byName["net"].Whole.Cost.MACs)
	}
	d, stderr = read(layers.String(), row("net"), layer("net2", "a"), row("net2"))
	if want := "net= in the name: net2: more than 4096 layers are described\n"; d.Results != 1 || !strings.HasSuffix(stderr, want) || len(d.described) != 1 {
		t.Errorf("%d results, stderr %q, want %q", d.Results, stderr, want)
	}
	d, stderr = read(layers.String(), layer("net", "a"), good, row("net"))
	if want := "net= in the name: net: more than 4096 layers are described\n"; d.Results != 1 || !strings.HasSuffix(stderr, want) || len(d.described) != 0 {
		t.Errorf("%d results, stderr %q, want %q", d.Results, stderr, want)
	}

	// What is kept until the next result is bounded, too.
	var desc description
	for line := range strings.Lines(layers.String() + layer("net2", "a") + layer("net2", "b")) {
		_, text, _ := strings.Cut(line, layerComment)
		if err := desc.add(text); (err != nil) != strings.HasPrefix(text, "net=net2") {
			t.Fatalf("%d layers, then %q: %v", len(desc.layers), text, err)
		}
	}
}
