package timings

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"firebench/bench/machine"
)

var (
	one = Row{"squeezenet1.0", "f32", 1}
	two = Row{"alexnet", "int8", 2}
)

// example has a row that a peer wins, one that none does, one that no peer runs, and layers.
func example() *Run {
	r := &Run{
		Recorded: "2026-11-24T03:04:05Z", Commit: "ca78fc9d", Command: "go run ./compare/peers -rounds 10",
		Facts: []machine.Fact{{Key: "isas", Value: "scalar avx2"}, {Key: "cores", Value: "2"}, {Key: "goos", Value: "linux"}},
		Engines: []Engine{
			{Firebench, "go1.26", "avx2, auto"}, {"onnxruntime", "1.2.3", "all: 1 thread"}, {"onnxruntime", "1.2.3", "all: 2 threads"},
		},
		Skips: []Skip{
			{Impl: "tract", Reason: "no wheel: none"},
			{Row: two, Impl: "ncnn-f32", Reason: "off by 0.2 of the largest logit"},
			{Row: one, Impl: "mnn", Reason: "no int8"},
			{Row: two, Impl: "mnn", Reason: "no int8"},
		},
		Notes: []string{"load 0.50"},
	}
	for i := range 10 {
		ours := 4e6 + float64(i)*1e5
		r.Add(one, Firebench, Sample{10, ours})
		r.Add(one, "onnxruntime", Sample{10, ours * (1.5 + float64(i)/100)})
		r.Add(one, "ncnn-f32", Sample{10, 2 * ours})
		r.Add(two, Firebench, Sample{20, 1e6})
		r.Add(two, "onnxruntime", Sample{20, 0.8e6})
	}
	r.AddLayer(one, LayerTime{Firebench, "fire2.expand1x1", "conv1x1", Sample{5, 1234.5}})
	r.AddLayer(one, LayerTime{Firebench, "pool4", "maxpool", Sample{5, 1e6}})
	r.AddLayer(one, LayerTime{"onnxruntime", "fire2.expand1x1", "Conv", Sample{5, 2469}})
	r.AddLayer(one, LayerTime{"onnxruntime", "fire2.expand1x1_nchwc", "Conv", Sample{5, 1e6}})
	r.AddLayer(one, LayerTime{"onnxruntime", "reorder", "ReorderInput", Sample{5, 5e5}})
	return r
}

func written(t *testing.T, r *Run) string {
	t.Helper()
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRoundTrip: what has been written is read.
func TestRoundTrip(t *testing.T) {
	want := example()
	path := filepath.Join(t.TempDir(), "peers.txt")
	if err := os.WriteFile(path, []byte(written(t, want)), 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read\n%+v\nexpected\n%+v", got, want)
	}
}

// TestWrite: the lines are what benchstat reads.
func TestWrite(t *testing.T) {
	got := written(t, example())
	for _, want := range []string{
		"# recorded 2026-11-24T03:04:05Z, commit ca78fc9d\n# command: go run ./compare/peers -rounds 10\n",
		"# engine onnxruntime 1.2.3: all: 2 threads\n",
		"# skipped impl=tract: no wheel: none\n# skipped net=alexnet/type=int8/impl=ncnn-f32-2: off by 0.2 of the largest logit\n",
		"# note load 0.50\nisas: scalar avx2\ncores: 2\ngoos: linux\n" +
			"BenchmarkPeer/net=squeezenet1.0/type=f32/impl=firebench\t10\t4000000 ns/op\n" +
			"BenchmarkPeer/net=squeezenet1.0/type=f32/impl=onnxruntime\t10\t6000000 ns/op\n" +
			"BenchmarkPeer/net=squeezenet1.0/type=f32/impl=ncnn-f32\t10\t8000000 ns/op\n" +
			"BenchmarkPeer/net=squeezenet1.0/type=f32/impl=firebench\t10\t4100000 ns/op\n",
		"BenchmarkPeerLayer/net=squeezenet1.0/layer=fire2.expand1x1/op=conv1x1/type=f32/impl=firebench\t5\t1234.5 ns/op\n",
		"BenchmarkPeer/net=alexnet/type=int8/impl=onnxruntime-2\t20\t800000 ns/op\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestWord: names of layers are made fit for names of benchmarks.
func TestWord(t *testing.T) {
	for s, want := range map[string]string{
		"conv1": "conv1", "features/conv 1": "features:conv_1", "conv-1": "conv_1", "conv-f32": "conv-f32", "": "_", "a\nb": "a_b", "x-": "x_",
	} {
		if got := word(s); got != want {
			t.Errorf("%q became %q, expected %q", s, got, want)
		}
	}
}

// TestRatios: the median and the interval are those of the ratios within the rounds. Of ten, the
// interval is from the second to the ninth.
func TestRatios(t *testing.T) {
	r := example()
	got, ok := r.Ratio(one, "onnxruntime")
	want := Ratio{1.545, 1.51, 1.58}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	if !ok || !near(got.Median, want.Median) || !near(got.Lo, want.Lo) || !near(got.Hi, want.Hi) {
		t.Errorf("ratio %+v, expected %+v", got, want)
	}
	if ms, ok := r.MS(one, Firebench); !ok || !near(ms, 4.45) {
		t.Errorf("%v ms, expected 4.45", ms)
	}
	if _, ok := r.Ratio(two, "ncnn-f32"); ok {
		t.Error("a ratio of what was not measured")
	}
	few := &Run{}
	few.Add(one, Firebench, Sample{1, 2})
	few.Add(one, "ncnn", Sample{1, 3}, Sample{1, 5})
	var text strings.Builder
	if err := few.WriteText(&text); err != nil || strings.Contains(text.String(), "told apart") || strings.Contains(text.String(), "Firebench is faster than") {
		t.Errorf("error %v, a verdict on one round:\n%s", err, &text)
	}
	if got, ok := few.Ratio(one, "ncnn"); !ok || got != (Ratio{1.5, 0, math.Inf(1)}) || got.String() != "1.50" {
		t.Errorf("of one round: %v", got)
	}
	for row, want := range map[Row]string{one: "onnxruntime", two: "onnxruntime"} {
		if got, ok := r.Best(row); !ok || got != want {
			t.Errorf("%v: the best is %q, expected %q", row, got, want)
		}
	}
	alone := &Run{}
	alone.Add(one, Firebench, Sample{1, 2})
	if impl, ok := alone.Best(one); ok {
		t.Errorf("the best peer of none is %s", impl)
	}
}

// TestTables: what is printed.
func TestTables(t *testing.T) {
	var text, md strings.Builder
	if err := example().WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := example().WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Milliseconds per image, median of 10 rounds\n\n" +
			"network        type  threads  firebench  onnxruntime  ncnn-f32\n" +
			"squeezenet1.0  f32         1       4.45        *6.88      8.90\n" +
			"alexnet        int8        2       1.00       *0.800         -\n",
		"network        type  threads            onnxruntime           ncnn-f32\n" +
			"squeezenet1.0  f32         1     *1.54 [1.51, 1.58]  2.00 [2.00, 2.00]\n" +
			"alexnet        int8        2  *0.800 [0.800, 0.800]                  -\n",
		"Firebench is faster than every peer in 1 of 2 rows; in the others it is\n\n  slower than onnxruntime: alexnet, int8, 2 threads, 0.800 [0.800, 0.800]\n",
		"layer            op       firebench  onnxruntime\n" +
			"fire2.expand1x1  conv1x1     0.0012       1.0025\n" +
			"pool4            maxpool     1.0000            -\n" +
			"(other)                           -       0.5000\n" +
			"total                        1.0012       1.5025\n",
		"engine       version  settings\n" + "firebench    go1.26   avx2, auto\n" + "onnxruntime  1.2.3    all: 1 thread\n",
		"  tract, all rows: no wheel: none\n  ncnn-f32, alexnet, int8, 2 threads: off by 0.2 of the largest logit\n  mnn, squeezenet1.0, f32, 1 thread, and 1 row more: no int8\n  load 0.50\n",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no\n%s\nin\n%s", want, &text)
		}
	}
	for _, want := range []string{
		"| network | type | threads | firebench | onnxruntime | ncnn-f32 |\n| --- | --- | ---: | ---: | ---: | ---: |\n| squeezenet1.0 | f32 | 1 | 4.45 | \\*6.88 | 8.90 |\n",
		"\n\\* marks the fastest peer.", "* slower than onnxruntime: ", "by `go run ./compare/peers -rounds 10`.",
	} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("no\n%s\nin\n%s", want, &md)
		}
	}
}

// TestVerdicts: a difference that the interval does not show is not called one.
func TestVerdicts(t *testing.T) {
	r := &Run{}
	for i := range 10 {
		r.Add(one, Firebench, Sample{1, 100})
		r.Add(one, "ncnn", Sample{1, 96.8 + float64(i)})
		r.Add(two, Firebench, Sample{1, 100})
		r.Add(two, "ncnn", Sample{1, 110})
	}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := "faster than every peer in 1 of 2 rows; in the others it is\n\n  not told apart from another: squeezenet1.0, f32, 1 thread, ncnn 1.01 [0.978, 1.05]\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, &b)
	}
	delete(r.Samples, one)
	b.Reset()
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if want := "Firebench is faster than every peer in 1 of 1 row.\n"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in\n%s", want, &b)
	}
}

// TestReadErrors: what is no measurement is refused, with its line.
func TestReadErrors(t *testing.T) {
	const good = "BenchmarkPeer/net=a/type=f32/impl=firebench 1 5 ns/op\n"
	for text, want := range map[string]string{
		"": "f: no usable result of BenchmarkPeer",
		"BenchmarkNet/net=a/isa=avx2 1 5 ns/op\n":                               "no usable result",
		good + "BenchmarkPeer/net=a/type=f32/impl=x-99999 1 5 ns/op\n":          `f:2: "99999" threads`,
		good + "BenchmarkPeer/net=a/type=f32 1 5 ns/op\n":                       "f:2: expected net=, type= and impl=",
		good + "BenchmarkPeer/net=a/type=f32/impl=x 1 -5 ns/op\n":               "f:2: 1 calls of",
		good + "BenchmarkPeer/net=a/type=f32/impl=x 1 5 B/op\n":                 "f:2: 1 calls of",
		good + "BenchmarkPeer/net=a/type=f32/impl=x 1 1e30 ns/op\n":             "f:2: 1 calls of",
		"# skipped net=a: b\n" + good:                                           "f:1: expected net=",
		good + "BenchmarkPeer/net=a/type=f32/impl=x " + "nonsense" + " ns/op\n": "f:2: ",
	} {
		if _, err := parse([]byte(text), "f"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, expected %q", text, err, want)
		}
	}
	if _, err := parse([]byte("PASS\n"), "f"); !errors.Is(err, ErrNoResults) {
		t.Errorf("error %v, expected %v", err, ErrNoResults)
	}
}

// TestMatch: a peer's layer belongs to the longest of our names that its own begins with, as a whole.
func TestMatch(t *testing.T) {
	names := []string{"conv1", "conv1_2", "fire2.expand1x1"}
	for layer, want := range map[string]string{
		"conv1": "conv1", "conv1_nchwc": "conv1", "conv1/relu": "conv1", "conv1_2": "conv1_2", "conv1_2+relu": "conv1_2",
		"conv10": other, "fire2.expand1x1.bias": other, "reorder": other, "": other,
	} {
		if got := match(names, layer); got != want {
			t.Errorf("%q belongs to %s, expected %s", layer, got, want)
		}
	}
}
