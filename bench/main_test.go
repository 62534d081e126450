package bench

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/cpuid/v2"

	"firebench/kernels"
)

// TestMain writes what the benchmark format has no place for elsewhere: the units'
// direction and the machine's facts. Only facts that never change are keys; every
// key splits benchstat's tables.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.bench"); f != nil && f.Value.String() != "" {
		isas, err := kernels.Supported()
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		fmt.Printf("# %s\n", runtime.Version())
		for _, unit := range []string{"GFLOP/s", "peak-%", "FLOP/B", "GB/s", "read-%"} {
			fmt.Printf("Unit %s better=higher\n", unit)
		}
		fmt.Printf("isas: %s\n", strings.Trim(fmt.Sprint(isas), "[]"))
		fmt.Printf("cores: %d\n", runtime.NumCPU())
		c := cpuid.CPU.Cache
		fmt.Printf("caches: l1d=%s l2=%s l3=%s\n", size(c.L1D), size(c.L2), size(c.L3))
	}
	code := m.Run()
	plans.close()
	os.Exit(code)
}

// size formats a number of bytes; cpuid reports -1 for what it cannot tell.
func size(n int) string {
	switch {
	case n <= 0:
		return "unknown"
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	default:
		return fmt.Sprintf("%dKiB", n>>10)
	}
}

// eachISA runs f as a sub-benchmark for every instruction set, best first.
func eachISA(b *testing.B, f func(b *testing.B, set *kernels.Set)) {
	isas, err := kernels.Supported()
	if err != nil {
		b.Fatal(err)
	}
	for i := len(isas) - 1; i >= 0; i-- {
		set, err := kernels.For(isas[i])
		if err != nil {
			b.Fatal(err)
		}
		b.Run("isa="+set.ISA.String(), func(b *testing.B) { f(b, set) })
	}
}

// measure times run, which does what cost says, and reports the metrics of the
// package comment; dense asks for those of a memory-bound layer as well.
func measure(b *testing.B, set *kernels.Set, cost kernels.Cost, dense bool, run func() error) {
	threads := runtime.GOMAXPROCS(0)
	if err := run(); err != nil { // touches all memory once
		b.Fatal(err)
	}
	before := peaks.fma(set, threads)
	var read float64
	if dense {
		read = peaks.read(set, threads, cost.Bytes)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N { // not b.Loop, which measures the first -cpu with the GOMAXPROCS of the one before
		if err := run(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	if cost.MACs > 0 {
		flops := 2 * float64(cost.MACs)
		peak := (before + peaks.fma(set, threads)) / 2
		b.ReportMetric(flops/ns, "GFLOP/s")
		b.ReportMetric(100*flops/ns/peak, "peak-%")
		b.ReportMetric(flops/float64(cost.Bytes), "FLOP/B")
	}
	if dense {
		read = (read + peaks.read(set, threads, cost.Bytes)) / 2
		b.ReportMetric(float64(cost.Bytes)/ns, "GB/s")
		b.ReportMetric(100*float64(cost.Bytes)/ns/read, "read-%")
	}
}
