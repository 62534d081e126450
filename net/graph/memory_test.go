package graph_test

import (
	"runtime"
	"slices"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/weights"
)

// maxScratch is how many bytes Winograd's algorithm may take beside the activations, with two
// threads. It uses a share of their level-2 caches: 4 MB if these have 2 MiB each.
var maxScratch = 4_000_000 * max(1, int64(kernels.Level2())/(2<<20))

// checkPlacement checks the size of the arena of p, compiled with w and o.
func checkPlacement(t *testing.T, p *graph.Plan, w graph.Weights, o graph.Options) {
	t.Helper()
	check := func(what string, busiest, total int64, slack float64) {
		t.Helper()
		if total < busiest || float64(total) > slack*float64(busiest) {
			t.Errorf("%v, %s: buffers have %d bytes, want at least the %d that are in use at once, and less than %.2f times that", o.Algo, what, total, busiest, slack)
		}
	}
	busiest, total := graph.Placement(p.Model(), w, o)
	check("with bands", busiest, total, 1.25) // as many as suit the cache
	restore := graph.SetBands(1)
	busiest, whole := graph.Placement(p.Model(), w, o)
	restore()
	check("without bands", busiest, whole, 1.05)

	scratch := p.ArenaBytes() - total
	most := maxScratch
	if o.Algo == "direct" {
		most = 100_000
	}
	if scratch < 0 || scratch > most {
		t.Errorf("%v: the arena has %d bytes, %d of them scratch memory, want at most %d of that", o.Algo, p.ArenaBytes(), scratch, most)
	}
}

// allocated returns how many bytes were allocated so far.
func allocated() uint64 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.TotalAlloc
}

// TestArena checks that SqueezeNet's arena has at most 7 MB for one image, that Winograd's
// algorithm adds at most maxScratch on one thread, and that KeepAll takes more than twice as much.
func TestArena(t *testing.T) {
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	w := random(t, m)
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		kerneltest.SkipSlow(t, set)
		size := func(o graph.Options) int64 {
			o.Set = set
			p := compile(t, m, w, o)
			defer p.Close()
			if testing.Short() && o.Algo != kernels.Auto {
				return p.ArenaBytes() // runs take seconds in emulation
			}
			before := allocated()
			if err := p.Run(); err != nil {
				t.Fatal(err)
			}
			if n := allocated() - before; n > 10_000 {
				t.Errorf("%v: the first run allocates %d bytes that the arena does not count", o.Algo, n)
			}
			return p.ArenaBytes()
		}
		for threads := range 2 {
			if got := size(graph.Options{Algo: "direct", Threads: 1 + threads}); got > 7e6 {
				t.Errorf("%d threads: the arena has %d bytes, want at most 7 MB", 1+threads, got)
			}
		}
		direct := size(graph.Options{Algo: "direct", Threads: 1})
		for _, algo := range []string{"winograd", kernels.Auto} {
			if got := size(graph.Options{Algo: algo, Threads: 1}); got > direct+maxScratch {
				t.Errorf("%v: the arena has %d bytes, %d directly, want at most %d more", algo, got, direct, maxScratch)
			}
		}
		if keep := size(graph.Options{Algo: "direct", Threads: 1, KeepAll: true}); keep <= 2*direct {
			t.Errorf("the arena has %d bytes, and %d when all is kept", direct, keep)
		}
	})
}

// TestMemory checks that only packed weights remain after Compile. They are as many as the model
// has, except that Winograd's algorithm transforms kernels of 3×3 to 6×6 and of 5×5 to 8×8.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: 60 million weights")
	}
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	m, err := models.Lookup("alexnet")
	if err != nil {
		t.Fatal(err)
	}
	infos, err := m.Infer()
	if err != nil {
		t.Fatal(err)
	}
	for _, algo := range kernels.Algorithms() {
		before := heap()
		p, err := graph.Compile(m, weights.Random(1), graph.Options{Algo: algo})
		if err != nil {
			t.Fatal(err)
		}
		params, transformed := int64(0), 0
		for _, s := range p.Steps() {
			params += 4 * s.Cost.Params
			if s.Algo != "winograd" {
				continue
			}
			transformed++
			i := slices.IndexFunc(infos, func(n graph.Info) bool { return n.Name == s.Name })
			c := infos[i].Layer.(layer.Weighted).ConvShape(infos[i].In[0])
			side := map[int]int{3: 6, 5: 8, 11: 6 * 4}[c.KH] // 11×11 with stride 4 is 3×3 on 4×4 phases
			params += 4 * int64(c.Out*c.In/c.Groups) * int64(side*side-c.KH*c.KW)
		}
		if algo == "winograd" && transformed < 5 {
			t.Errorf("%d layers by Winograd's algorithm, want all convolutions", transformed)
		}
		if w := p.WeightBytes(); w < params || float64(w) > 1.01*float64(params) {
			t.Errorf("%v: packed weights have %d bytes, want %d", algo, w, params)
		}
		const rest = 2 << 20 // tasks, their scratch memory, tables
		if got, want := heap()-before, p.WeightBytes()+p.ArenaBytes(); got > want+rest {
			t.Errorf("%v: the heap grew by %d bytes, weights and arena have %d", algo, got, want)
		}
		p.Close()
	}
}
