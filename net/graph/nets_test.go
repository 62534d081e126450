package graph_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/graph"
	"firebench/net/models"
)

// TestNets runs every model on every instruction set by every algorithm. Every node must be what
// package ref computes, and no run may allocate. Neither threads nor the reuse of memory may
// change a bit, and the arena must be hardly larger than the values that are in use at once.
func TestNets(t *testing.T) {
	wholeMACs := 1_000_000
	if testing.Short() {
		wholeMACs = 200_000
	}
	for _, m := range models.All() {
		t.Run("net="+m.Name, func(t *testing.T) {
			if testing.Short() {
				m.Input.H, m.Input.W = 87, 75 // large enough for tiles of Winograd's algorithm in every layer
			}
			w := random(t, m)
			kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
				kerneltest.SkipSlow(t, set)
				execute := func(p *graph.Plan) {
					t.Helper()
					if set.ISA == kernels.Scalar { // which runs the same plan code, slowly
						run(t, p)
						return
					}
					fill(p.Input(), 2)
					checkAllocs(t, p)
				}
				var logits [][]float64
				for _, algo := range kernels.Algorithms() {
					o := graph.Options{Set: set, Algo: algo, Threads: 1, KeepAll: true}
					keep := compile(t, m, w, o)
					if !slices.ContainsFunc(keep.Steps(), func(s graph.Step) bool { return s.Algo == algo }) {
						keep.Close() // the weights have no zeros, and are float32
						continue
					}
					execute(keep)
					checkNodes(t, keep, w, wholeMACs)
					logits = append(logits, dense(keep.Logits()))

					o.Threads, o.KeepAll = 2, false
					reuse := compile(t, m, w, o)
					execute(reuse)
					if !testing.Short() || !strings.HasPrefix(m.Name, "alexnet") { // whose small arena has larger gaps
						checkPlacement(t, reuse, w, o)
					}
					kerneltest.Compare(t, "logits of two threads", reuse.Logits(), logits[len(logits)-1], nil)
					kerneltest.Compare(t, "output of two threads", reuse.Output(), dense(keep.Output()), nil)
					keep.Close()
					reuse.Close()
				}
				bound := 1e-3 * largest(logits[0])
				for i, want := range logits[0] {
					if got := logits[1][i]; !(math.Abs(got-want) <= bound) {
						t.Errorf("class %d: logit %v by Winograd's algorithm, %v directly, want ± %.2g", i, got, want, bound)
					}
				}
			})
		})
	}
}
