package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
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
	if flag.Lookup("test.bench").Value.String() != "" {
		if cpus := strings.Split(flag.Lookup("test.cpu").Value.String(), ","); len(cpus) > 1 {
			os.Exit(each(cpus))
		} else if n, err := strconv.Atoi(cpus[0]); err == nil && n > 0 {
			runtime.GOMAXPROCS(n)
		}
		isas, err := kernels.Supported()
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		fmt.Printf("# %s\n", runtime.Version())
		for _, unit := range []string{"GFLOP/s", "peak-%", "fma-%", "FLOP/B", "GB/s", "read-%"} {
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

// each runs the benchmarks in a process of their own per -cpu value: testing takes
// the first iteration of a benchmark under the value before, and if it is slow, no
// other.
func each(cpus []string) int {
	for _, n := range cpus {
		cmd := exec.Command(os.Args[0], append(os.Args[1:], "-test.cpu="+n)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: -cpu %s: %v\n", n, err)
			return 1
		}
	}
	return 0
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
// package comment; dense asks for those of a memory-bound layer as well. It returns the
// share of the FMA peak, in percent; 0 without multiply-adds.
func measure(b *testing.B, set *kernels.Set, cost kernels.Cost, dense bool, run func() error) (peakPct float64) {
	threads := runtime.GOMAXPROCS(0)
	before := peaks.fma(set, threads)
	var read float64
	if dense {
		read = peaks.read(set, threads, cost.Bytes())
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
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
		peakPct = 100 * flops / ns / peak
		b.ReportMetric(peakPct, "peak-%")
		b.ReportMetric(flops/float64(cost.Bytes()), "FLOP/B")
	}
	if dense {
		read = (read + peaks.read(set, threads, cost.Bytes())) / 2
		b.ReportMetric(float64(cost.Bytes())/ns, "GB/s")
		b.ReportMetric(100*float64(cost.Bytes())/ns/read, "read-%")
	}
	return peakPct
}
