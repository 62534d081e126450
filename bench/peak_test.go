package bench

import (
	"runtime"
	"testing"
	"time"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// peakMeter measures the machine's bounds on persistent workers.
type peakMeter struct {
	workers *workers.Pool
	memory  []float32
}

var peaks peakMeter

const (
	// burst is how long one measurement of the FMA peak lasts: long against the
	// fork/join, short against what else the machine does.
	burst  = 200 * time.Microsecond
	bursts = 5 // the best counts

	// readBytes is what BenchmarkPeak reads: as much as AlexNet's weights.
	readBytes = 256 << 20
	// readPart is what one chunk of the read measurement covers, in values.
	readPart = 1 << 16
)

// A spin is one burst of multiply-adds a thread.
type spin struct {
	set     *kernels.Set
	rounds  int
	threads int
}

func (s *spin) Chunks() int    { return s.threads }
func (s *spin) Chunk(_, _ int) { s.set.F32.FMAPeak(s.rounds) }

// fma returns the best of a few bursts in GFLOP/s over all threads.
func (p *peakMeter) fma(set *kernels.Set, threads int) float64 {
	w := p.start(threads)
	s := &spin{set, 1000, threads}
	best := 0.0
	for i := 0; i <= bursts; {
		start := time.Now()
		w.Run(nil, s)
		d := time.Since(start)
		if d < burst {
			s.rounds = int(float64(s.rounds)*float64(burst)/float64(max(d, 1000))) + s.rounds/8
			continue
		}
		best = max(best, 2*float64(set.F32.PeakFMAs)*float64(s.rounds)*float64(threads)/float64(d.Nanoseconds()))
		i++
	}
	return best
}

// A scan reads memory once, a part a chunk.
type scan struct {
	set    *kernels.Set
	memory []float32
	sums   []float32 // one cache line a worker
}

func (s *scan) Chunks() int { return len(s.memory) / readPart }

func (s *scan) Chunk(worker, i int) {
	s.set.F32.ReadPeak(&s.sums[16*worker], &s.memory[i*readPart], readPart)
}

// read returns the bandwidth of reading bytes of memory over and over, in GB/s
// over all threads: what fits a cache is faster, for a layer as well.
func (p *peakMeter) read(set *kernels.Set, threads int, bytes int64) float64 {
	w := p.start(threads)
	s := p.scan(set, threads, bytes)
	best := 0.0
	for range 3 {
		start := time.Now()
		w.Run(nil, s)
		best = max(best, 4*float64(s.Chunks()*readPart)/float64(time.Since(start).Nanoseconds()))
	}
	return best
}

func (p *peakMeter) scan(set *kernels.Set, threads int, bytes int64) *scan {
	if need := max(int(bytes/4), readPart); len(p.memory) < need {
		p.memory = kernels.Alloc[float32](need)
		for i := range p.memory {
			p.memory[i] = 1 // or all pages would be the one zero page
		}
	}
	return &scan{set, p.memory[:bytes/4], kernels.Alloc[float32](16 * threads)}
}

// start makes the workers fit the thread count.
func (p *peakMeter) start(threads int) *workers.Pool {
	if p.workers == nil || p.workers.Threads() != threads {
		if p.workers != nil {
			p.workers.Close()
		}
		p.workers = workers.NewPool(threads)
	}
	return p.workers
}

// BenchmarkPeak measures the bounds that all else is compared with.
func BenchmarkPeak(b *testing.B) {
	b.Run("op=fma", func(b *testing.B) {
		eachISA(b, func(b *testing.B, set *kernels.Set) {
			threads := runtime.GOMAXPROCS(0)
			w := peaks.start(threads)
			s := &spin{set, 100_000, threads}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w.Run(nil, s)
			}
			flops := 2 * float64(set.F32.PeakFMAs) * float64(s.rounds) * float64(threads) * float64(b.N)
			b.ReportMetric(flops/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
		})
	})
	b.Run("op=read", func(b *testing.B) {
		eachISA(b, func(b *testing.B, set *kernels.Set) {
			threads := runtime.GOMAXPROCS(0)
			w := peaks.start(threads)
			s := peaks.scan(set, threads, readBytes)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w.Run(nil, s)
			}
			b.ReportMetric(readBytes*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GB/s")
		})
	})
}

// BenchmarkForkJoin measures what stands between two layers: handing an empty task
// to all workers and waiting for them.
func BenchmarkForkJoin(b *testing.B) {
	threads := runtime.GOMAXPROCS(0)
	w := peaks.start(threads)
	t := &empty{threads}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		w.Run(nil, t)
	}
}

type empty struct{ chunks int }

func (e *empty) Chunks() int    { return e.chunks }
func (e *empty) Chunk(_, _ int) {}
