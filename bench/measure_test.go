package bench

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"firebench/kernels"
)

// ops counts the operations of macs multiply-adds: a multiplication and an addition
// each.
func ops(macs float64) float64 { return 2 * macs }

// percent is what part is of whole.
func percent(part, whole float64) float64 { return 100 * part / whole }

// busyPercent is the share of the peak that the executed multiply-adds take, in percent,
// when the macs of the direct convolution would take peakPercent of it in the same time.
func busyPercent(peakPercent float64, executed, macs int64) float64 {
	return peakPercent * float64(executed) / float64(macs)
}

// measure times run, which does what cost says with multiply-adds of type t, and reports the
// metrics of the package comment; dense asks for those of a memory-bound layer as well. It
// returns the share of the peak, in percent; 0 without multiply-adds.
func measure(b *testing.B, t *numberType, set *kernels.Set, cost kernels.Cost, dense bool, run func() error) (peakPercent float64) {
	threads := runtime.GOMAXPROCS(0)
	peak := peaks.multiplyAdds(t, set, threads)
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
	ops, bytes := ops(float64(cost.MACs)), float64(cost.Bytes())
	if cost.MACs > 0 {
		peak = (peak + peaks.multiplyAdds(t, set, threads)) / 2
		peakPercent = percent(ops/ns, peak)
		b.ReportMetric(ops/ns, t.rate)
		b.ReportMetric(peakPercent, "peak-%")
		b.ReportMetric(ops/bytes, t.intensity)
	}
	if dense {
		read = (read + peaks.read(set, threads, cost.Bytes())) / 2
		b.ReportMetric(bytes/ns, "GB/s")
		b.ReportMetric(percent(bytes/ns, read), "read-%")
	}
	return peakPercent
}

// A simulation is a machine of known speed with a clock of its own: for each
// multiply-add and each value read the clock advances by an exact time, divided by the
// threads that measure, which work side by side.
type simulation struct {
	nanoseconds atomic.Int64
	perMAC      atomic.Int64 // a multiply-add of integers takes a quarter of that
	perValue    int64
}

// pass lets so much time pass on one of the threads.
func (s *simulation) pass(nanoseconds int64) {
	s.nanoseconds.Add(nanoseconds / int64(peaks.workers.Threads()))
}

// set returns kernels of 8 multiply-adds a round, 32 of integers, that run on the simulation.
func (s *simulation) set() *kernels.Set {
	return &kernels.Set{F32: &kernels.F32{
		PeakFMAs: 8,
		FMAPeak:  func(n int) { s.pass(8 * int64(n) * s.perMAC.Load()) },
		ReadPeak: func(_, _ *float32, n int) { s.pass(int64(n) * s.perValue) },
	}, U8: &kernels.U8{
		PeakMACs: 32,
		MACPeak:  func(n int) { s.pass(8 * int64(n) * s.perMAC.Load()) },
	}}
}

func (s *simulation) now() time.Time { return time.Unix(0, s.nanoseconds.Load()) }

// simulate makes the peaks those of a simulation until the test ends: a multiply-add
// takes 4 ns and a value 2 ns on each of the threads.
func simulate(t *testing.T, threads int) *simulation {
	s := &simulation{perValue: 2}
	s.perMAC.Store(4)
	real := peaks
	peaks = peakMeter{now: s.now}
	procs := runtime.GOMAXPROCS(threads)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(procs)
		peaks.workers.Close()
		peaks = real
	})
	return s
}

// benchmark runs f for n iterations.
func benchmark(t *testing.T, n string, f func(b *testing.B)) testing.BenchmarkResult {
	t.Helper()
	benchtime := flag.Lookup("test.benchtime").Value
	before := benchtime.String()
	if err := benchtime.Set(n + "x"); err != nil {
		t.Fatal(err)
	}
	defer benchtime.Set(before)
	return testing.Benchmark(f)
}

// near tells whether got is want, up to the rounding of a few operations.
func near(got, want float64) bool { return math.Abs(got-want) <= 1e-12*math.Abs(want) }

// TestPeaks: a machine whose speed is known has exactly that peak. A multiply-add each
// 4 ns is 0.5 GFLOP/s a thread, one of integers each ns is 2 GOP/s, a value each 2 ns is 2 GB/s.
func TestPeaks(t *testing.T) {
	for _, threads := range []int{1, 2} {
		s := simulate(t, threads)
		for typ, want := range map[*numberType]float64{float32Type: 0.5, int8Type: 2} {
			if got, want := peaks.multiplyAdds(typ, s.set(), threads), want*float64(threads); !near(got, want) {
				t.Errorf("%s, %d threads: peak %v %s, expected %v", typ.name, threads, got, typ.rate, want)
			}
		}
		for _, bytes := range []int64{4, 3 << 20} {
			if got, want := peaks.read(s.set(), threads, bytes), 2*float64(threads); !near(got, want) {
				t.Errorf("%d threads: reading %d bytes at %v GB/s, expected %v", threads, bytes, got, want)
			}
		}
	}
}

// TestMeasure checks every metric of a benchmark against its definition. The machine's
// peak doubles while the benchmark runs: the one that counts is the mean of before and
// after, that of multiply-adds of the benchmark's type.
func TestMeasure(t *testing.T) {
	for _, test := range []struct {
		typ             *numberType
		rate, intensity string
		peak            float64 // of a thread, before
	}{{float32Type, "GFLOP/s", "FLOP/B", 0.5}, {int8Type, "GOP/s", "OP/B", 2}} {
		for _, threads := range []int{1, 2} {
			for _, dense := range []bool{false, true} {
				s := simulate(t, threads)
				var returned float64
				r := benchmark(t, "3", func(b *testing.B) {
					s.perMAC.Store(4)
					returned = measure(b, test.typ, s.set(), kernels.Cost{MACs: 1000, Activations: 4 << 20}, dense, func() error {
						s.perMAC.Store(2)
						return nil
					})
				})
				ns := float64(r.T.Nanoseconds()) / float64(r.N)
				peak := (test.peak + 2*test.peak) / 2 * float64(threads)
				want := map[string]float64{
					test.rate:      2000 / ns,
					"peak-%":       100 * 2000 / ns / peak,
					test.intensity: 2000. / (4 << 20),
				}
				if dense {
					want["GB/s"] = (4 << 20) / ns
					want["read-%"] = 100 * (4 << 20) / ns / (2 * float64(threads))
				}
				what := fmt.Sprintf("%s, dense %v, %s", test.typ.name, dense, fmt.Sprint(threads, " threads"))
				if len(r.Extra) != len(want) {
					t.Errorf("%s: metrics %v, expected %v", what, r.Extra, want)
				}
				for unit, v := range want {
					if !near(r.Extra[unit], v) {
						t.Errorf("%s: %v %s, expected %v", what, r.Extra[unit], unit, v)
					}
				}
				if !near(returned, want["peak-%"]) {
					t.Errorf("%s: measure returns %v, expected %v", what, returned, want["peak-%"])
				}
			}
		}
	}
	s := simulate(t, 1)
	r := benchmark(t, "1", func(b *testing.B) {
		if got := measure(b, float32Type, s.set(), kernels.Cost{Activations: 4}, false, func() error { return nil }); got != 0 {
			t.Errorf("%v %% of the peak without a multiply-add", got)
		}
	})
	if len(r.Extra) > 0 {
		t.Errorf("metrics %v without a multiply-add", r.Extra)
	}
}

// TestSpin checks the one formula of BenchmarkPeak and of the peak beside every
// benchmark.
func TestSpin(t *testing.T) {
	s := &spin{macs: 96, rounds: 1000, threads: 2}
	if got, want := s.rate(64_000), 6.; got != want {
		t.Errorf("2 threads × 1000 rounds × 96 multiply-adds in 64 µs: %v GFLOP/s, expected %v", got, want)
	}
}

func TestBusyPercent(t *testing.T) {
	if got := busyPercent(160, 500, 1000); got != 80 {
		t.Errorf("half the multiply-adds of a convolution at 160 %% of the peak take %v %% of it, expected 80", got)
	}
}

// TestPick: the benchmarks mark the algorithm that a network's plan uses by itself.
func TestPick(t *testing.T) {
	defer plans.close()
	n := lookup(t, "squeezenet1.1")
	for _, typ := range numberTypes {
		sets, err := typ.sets()
		if err != nil {
			t.Fatal(err)
		}
		if typ == int8Type && testing.Short() {
			sets = sets[:1] // the others take long under emulation
		}
		for _, set := range sets {
			picked := map[string]string{} // by layer
			candidates := map[string]bool{}
			for _, s := range plans.get(t, n, typ, set, kernels.Auto, 1, true).Steps() {
				if s.Algo != "" {
					picked[s.Name] = s.Algo
				}
				for _, algo := range s.Candidates {
					candidates[algo] = true
				}
			}
			seen := map[string]bool{}
			for _, algo := range kernels.Algorithms() {
				for _, s := range plans.get(t, n, typ, set, algo, 1, true).Steps() {
					if s.Algo == "" {
						continue
					}
					want := 0.0
					if picked[s.Name] == s.Algo {
						want = 1
						seen[s.Algo] = true
					}
					if got := pick(s); got != want {
						t.Errorf("%v, %s: the plan runs %s by %s, the pick of %s is %v", set.ISA, typ.name, s.Name, picked[s.Name], s.Algo, got)
					}
				}
			}
			if typ == float32Type && len(seen) != len(candidates) || len(seen) == 0 {
				t.Errorf("%v, %s: picked %v", set.ISA, typ.name, seen)
			}
		}
	}
}
