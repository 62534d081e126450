package bench

import (
	"context"
	"runtime"
	"testing"
	"time"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A peakMeter measures the machine's bounds, on workers that it keeps.
type peakMeter struct {
	now     func() time.Time // the clock; tests have one of their own
	workers *workers.Pool
	memory  []float32
}

var peaks = peakMeter{now: time.Now}

const (
	// burst is how long one measurement of the peak of multiply-adds lasts: long against the
	// fork/join, short against what else the machine does.
	burst  = 200 * time.Microsecond
	bursts = 5 // the best counts

	// readBytes is what BenchmarkPeak reads: as much as AlexNet's weights.
	readBytes = 256 << 20
	// readPart is what one chunk of the read measurement covers, in values.
	readPart = 1 << 16
)

// A spin is a burst of multiply-adds on every thread.
type spin struct {
	run     func(rounds int)
	macs    int // of a round
	rounds  int
	threads int
}

// spin returns a burst of multiply-adds of type t.
func (t *numberType) spin(set *kernels.Set, rounds, threads int) *spin {
	run, macs := t.peak(set)
	return &spin{run, macs, rounds, threads}
}

func (s *spin) Chunks() int    { return s.threads }
func (s *spin) Chunk(_, _ int) { s.run(s.rounds) }

// rate is that of a burst that takes ns nanoseconds, in 10⁹ operations a second.
func (s *spin) rate(ns float64) float64 {
	return ops(float64(s.macs)*float64(s.rounds)*float64(s.threads)) / ns
}

// multiplyAdds returns the best of a few bursts of type t, in 10⁹ operations a second over all threads.
func (p *peakMeter) multiplyAdds(t *numberType, set *kernels.Set, threads int) float64 {
	w := p.start(threads)
	s := t.spin(set, 1000, threads)
	best := 0.0
	for i := 0; i <= bursts; {
		start := p.now()
		w.Run(context.Background(), s)
		d := p.now().Sub(start)
		if d < burst {
			s.rounds = int(float64(s.rounds)*float64(burst)/float64(max(d, 1000))) + s.rounds/8
			continue
		}
		best = max(best, s.rate(float64(d.Nanoseconds())))
		i++
	}
	return best
}

// A scan reads memory once; a chunk is one part of it.
type scan struct {
	set    *kernels.Set
	memory []float32
	sums   []float32 // one cache line for each worker
}

func (s *scan) Chunks() int { return len(s.memory) / readPart }

func (s *scan) Chunk(worker, i int) {
	s.set.F32.ReadPeak(&s.sums[16*worker], &s.memory[i*readPart], readPart)
}

// gbs is the bandwidth of a scan that takes ns nanoseconds, in GB/s.
func (s *scan) gbs(ns float64) float64 { return 4 * float64(s.Chunks()*readPart) / ns }

// read returns the bandwidth of reading bytes of memory over and over, in GB/s
// over all threads: what fits a cache is faster, for a layer as well.
func (p *peakMeter) read(set *kernels.Set, threads int, bytes int64) float64 {
	w := p.start(threads)
	s := p.scan(set, threads, bytes)
	best := 0.0
	for range 3 {
		start := p.now()
		w.Run(context.Background(), s)
		best = max(best, s.gbs(float64(p.now().Sub(start).Nanoseconds())))
	}
	return best
}

// scan prepares a scan of so many bytes, or of one part where they are fewer.
func (p *peakMeter) scan(set *kernels.Set, threads int, bytes int64) *scan {
	values := max(int(bytes/4), readPart)
	if len(p.memory) < values {
		p.memory = kernels.Alloc[float32](values)
		for i := range p.memory {
			p.memory[i] = 1 // or all pages would be the one zero page
		}
	}
	return &scan{set, p.memory[:values], kernels.Alloc[float32](16 * threads)}
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
	for _, t := range numberTypes {
		sub(b, "op="+t.multiplyAdd, func(b *testing.B) {
			t.eachISA(b, func(b *testing.B, set *kernels.Set) {
				threads := runtime.GOMAXPROCS(0)
				w := peaks.start(threads)
				s := t.spin(set, 100_000, threads)
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					w.Run(context.Background(), s)
				}
				b.ReportMetric(s.rate(float64(b.Elapsed().Nanoseconds())/float64(b.N)), t.rate)
			})
		})
	}
	sub(b, "op=read", func(b *testing.B) {
		float32Type.eachISA(b, func(b *testing.B, set *kernels.Set) {
			threads := runtime.GOMAXPROCS(0)
			w := peaks.start(threads)
			s := peaks.scan(set, threads, readBytes)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w.Run(context.Background(), s)
			}
			b.ReportMetric(s.gbs(float64(b.Elapsed().Nanoseconds())/float64(b.N)), "GB/s")
		})
	})
}

// BenchmarkForkJoin measures what stands between two layers: handing an empty task
// to all workers and waiting for them.
func BenchmarkForkJoin(b *testing.B) {
	met.leaf(b.Name())
	threads := runtime.GOMAXPROCS(0)
	w := peaks.start(threads)
	t := &empty{threads}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		w.Run(context.Background(), t)
	}
}

type empty struct{ chunks int }

func (e *empty) Chunks() int    { return e.chunks }
func (e *empty) Chunk(_, _ int) {}
