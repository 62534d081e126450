package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"

	"firebench/compare/samples"
)

func FuzzRead(f *testing.F) {
	f.Add(readFile(f, bench)[:2000])
	f.Add([]byte(header + good + good))
	f.Add([]byte("cpu: A\n" + good + "cpu: B\n" + good))
	f.Add([]byte("BenchmarkStage/net=alexnet/stage=13/algo=winograd/batch=8/isa=neon-64 1 1e9 ns/op 3 GFLOP/s\n"))
	f.Add([]byte("BenchmarkLayer/net=squeezenet1.1/layer=conv1/isa=scalar 1 5 ns/op\nBenchmarkPeak/op=fma/isa=scalar 1 5 ns/op 4 GFLOP/s\n"))
	f.Add([]byte("BenchmarkLayer/net=alexnet/layer=conv1/algo=direct/isa=avx2 1 5 ns/op 1 pick\nBenchmarkLayer/net=alexnet/layer=conv1/algo=winograd/isa=avx2 1 4 ns/op 0 pick\n"))
	f.Add([]byte("# recorded 2026-11-24T03:45:57Z, commit a\n# command: x\n# sample 1, load 5 1 1\n" + header + good + "# recorded 2026-11-24T03:45:57Z, commit b\n" + good))
	f.Add([]byte("BenchmarkLayer/net=alexnet/layer=conv1/algo=direct/isa=avx512 1 5 ns/op\nBenchmarkLayer/net=alexnet/layer=conv1/type=int8/algo=direct/isa=avx512-vnni 1 4 ns/op 9 mac-%\nBenchmarkPeak/op=mac/isa=avx2 1 5 ns/op 4 GOP/s\n"))
	f.Add([]byte(header + "# layer net=a layer=b op=relu stage=c out=1x1x1 macs=1 params=1 f32-activations=1 f32-weights=1 int8-activations=1 int8-weights=1\n" +
		"BenchmarkLayer/net=a/layer=b/algo=direct/isa=avx2 1 5 ns/op\nBenchmarkStage/net=a/stage=c/isa=avx2 1 5 ns/op\n"))
	f.Add([]byte("BenchmarkSparse/net=alexnet/layer=conv1/density=0.1/pattern=vector/algo=direct/isa=avx2 1 5 ns/op 1 pick\nBenchmarkSparse/net=alexnet/layer=conv1/density=0.1/pattern=vector/algo=rows/isa=avx2 1 4 ns/op 0 pick\n"))
	f.Add([]byte("l1d:\nBenchmark\x00\n-\n=\n:\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		start := time.Now()
		for _, mix := range []bool{false, true} {
			d := samples.New(facts, mix)
			if err := d.Read(bytes.NewReader(text), "fuzz", io.Discard); err != nil {
				var mixed *samples.MixError
				if !errors.As(err, &mixed) && !errors.Is(err, samples.ErrNoResults) {
					t.Fatal(err)
				}
			}
			r, again := build(d, Options{}), build(d, Options{})
			for _, format := range Formats() {
				var one, two bytes.Buffer
				if err := errors.Join(r.Write(&one, format), again.Write(&two, format)); err != nil {
					t.Fatalf("%s: %v", format, err)
				}
				if one.String() != two.String() {
					t.Errorf("%s differs from call to call", format)
				}
				if format == "json" && !json.Valid(one.Bytes()) {
					t.Errorf("not JSON:\n%s", one.String())
				}
				if bytes.ContainsAny(one.Bytes(), "\x00\x1b") {
					t.Errorf("%s: control characters of the file were printed", format)
				}
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}
