package main

import (
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"firebench/compare/report"
	"firebench/kernels"
	"firebench/net/models"
)

// An invocation is a part of every sample: some benchmarks, run in one process for each
// number of threads.
type invocation struct {
	bench     string // -test.bench
	benchtime time.Duration
	threads   []int
}

// args is the command line of the test binary.
func (inv invocation) args(threads int) []string {
	return []string{"-test.run=^$", "-test.bench=" + inv.bench, "-test.benchtime=" + inv.benchtime.String(), "-test.cpu=" + strconv.Itoa(threads)}
}

// invocations returns what one sample consists of.
func (o *options) invocations(best kernels.ISA) []invocation {
	threads := []int{1}
	if n := runtime.NumCPU(); n > 1 {
		threads = append(threads, n)
	}
	nets := o.nets
	if o.preset == "full" {
		if len(nets) == 0 {
			for _, m := range models.All() {
				nets = append(nets, m.Name)
			}
		}
		return []invocation{
			{"^Benchmark(Peak|ForkJoin)$", 200 * time.Millisecond, threads},
			{"^BenchmarkNet$/" + netPattern(nets), 200 * time.Millisecond, threads},
			{"^Benchmark(Stage|Layer|Kernel)$/" + netPattern(nets), 50 * time.Millisecond, threads},
		}
	}
	if len(nets) == 0 {
		nets = report.DefaultNets
	}
	net := netPattern(nets)
	// types matches both types, each on the best instruction set that has kernels of its own for it.
	types := func(parts, rest string) string {
		f32, int8 := "/^type=f32$/"+rest+"/"+isaPattern(best.Float32()), "/^type=int8$/"+rest+"/"+isaPattern(best)
		return parts + f32 + "|" + parts + int8
	}
	if o.preset == "sparse" {
		return []invocation{
			{"^BenchmarkPeak$", 10 * time.Millisecond, threads[:1]},
			{types("^BenchmarkSparse$/"+net+"/^layer=/^op=", "^density=/^pattern=/^algo="), 10 * time.Millisecond, threads[:1]},
		}
	}
	one := "^BenchmarkNet$/" + net + "/^batch=1$"
	return []invocation{
		{"^BenchmarkPeak$", 10 * time.Millisecond, threads},
		{one + "/^type=f32$/^algo=direct$|" + one + "/^type=int8$/^algo=direct$/" + isaPattern(best), 30 * time.Millisecond, threads},
		{types("^BenchmarkNet$/"+net+"/^batch=(1|8)$", "^algo=auto$"), 60 * time.Millisecond, threads},
		{types("^BenchmarkStage$/"+net+"/^stage=", "^algo=auto$"), 20 * time.Millisecond, threads[:1]},
		{types("^BenchmarkLayer$/"+net+"/^layer=/^op=", "^algo="), 10 * time.Millisecond, threads[:1]},
	}
}

// isaPattern matches the level of a benchmark's name that says the instruction set.
func isaPattern(isa kernels.ISA) string { return "^isa=" + isa.String() + "$" }

// netPattern matches the level of a benchmark's name that says the network.
func netPattern(nets []string) string {
	var quoted []string
	for _, net := range nets {
		quoted = append(quoted, regexp.QuoteMeta(net))
	}
	return "^net=(" + strings.Join(quoted, "|") + ")$"
}
