package kernels_test

import (
	"reflect"
	"slices"
	"sync"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// scratchOf returns how many bytes of scratch memory a task asks for, and the memory
// of each worker, nil for tasks without. Nothing outside of their package sees it
// otherwise.
func scratchOf(task workers.Task) (need int, workers [][]byte) {
	v := reflect.ValueOf(task).Elem().FieldByName("scratch")
	if !v.IsValid() {
		return 0, nil
	}
	return int(v.FieldByName("need").Int()), *(*[][]byte)(v.FieldByName("buffers").Addr().UnsafePointer())
}

// guardScratch gives each worker of a task scratch memory of just the size that
// it asks for, poisoned, beside an unreadable page: no other test could tell that a
// kernel reaches beyond it, or reads what nobody wrote.
func guardScratch(t testing.TB, task workers.Task, memory []slab, side int) []slab {
	t.Helper()
	need, workers := scratchOf(task)
	for i := range workers {
		if i == len(memory) {
			memory = append(memory, guarded(t, need/4))
		}
		workers[i] = kernels.Bytes(memory[i].blank(side, need/4))
	}
	return memory
}

// TestShareScratch lets tasks of all kinds share their scratch memory, several
// times with different company. They give what they give alone, whoever wrote
// there before, and allocate nothing when they run.
func TestShareScratch(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		for threads := 1; threads <= 2; threads++ {
			cases := []convCase{
				conv(13, 14, 17, 9, 3, 1, 1, 1),
				conv(31, 30, 3, set.F32.Wide.Width+1, 7, 2, 0, 1),
				conv(9, 9, 4, 10, 5, 1, 2, 2),
				conv(9, 40, 4, 3, 1, 1, 0, 1), // direct, through a line buffer
			}
			var tasks []workers.Task
			var dsts []kernels.View
			var alone [][]float32
			for _, c := range cases {
				dst, task := c.boundTo(t, set, threads)
				run(task, threads)
				alone = append(alone, kernels.Data[float32](dst))
				dst, task = c.boundTo(t, set, threads)
				tasks, dsts = append(tasks, task), append(dsts, dst)
			}
			relu, err := kernels.BindReLU(set, dsts[0], dsts[0], threads) // has none
			if err != nil {
				t.Fatal(err)
			}
			if n := kernels.ShareScratch(threads, []workers.Task{relu}); n != 0 {
				t.Errorf("%d bytes of scratch memory for a task without any", n)
			}
			pool := workers.NewPool(threads)
			defer pool.Close()
			check := func(order ...int) {
				t.Helper()
				for _, i := range order {
					kerneltest.Poison(kernels.Data[float32](dsts[i]))
					if n := testing.AllocsPerRun(5, func() { pool.Run(nil, tasks[i]) }); n != 0 {
						t.Errorf("%v allocates %v times a run", cases[i], n)
					}
					if !slices.Equal(kernels.Data[float32](dsts[i]), alone[i]) {
						t.Errorf("%v, %d threads: another result with shared scratch memory than alone", cases[i], threads)
					}
				}
			}
			all := kernels.ShareScratch(threads, append(tasks, relu))
			check(0, 1, 2, 3, 1, 0, 3, 2)
			_, first := scratchOf(tasks[0])
			for _, task := range tasks {
				need, own := scratchOf(task)
				for i, memory := range own {
					if len(memory) < need || &memory[0] != &first[i][0] || i > 0 && &memory[0] == &first[0][0] {
						t.Errorf("%d threads: worker %d does not share its scratch memory between tasks and with nobody else", threads, i)
					}
				}
			}
			most := int64(0)
			for _, task := range tasks {
				most = max(most, kernels.ShareScratch(threads, []workers.Task{task}))
			}
			if all != most || most == 0 {
				t.Errorf("%d bytes of scratch memory for all, want those of the largest task, %d", all, most)
			}
			check(3, 2, 1, 0)
			kernels.ShareScratch(threads, []workers.Task{tasks[1], tasks[3]})
			kernels.ShareScratch(threads, []workers.Task{tasks[0], tasks[1]})
			check(0, 1, 3, 2, 1, 0)
		}
	})
}

// TestShareScratchAlone runs lists of tasks side by side, each on a thread of its own,
// and, when they are done, a task on all threads in the same memory.
func TestShareScratchAlone(t *testing.T) {
	kerneltest.EachISA(t, func(t *testing.T, set *kernels.Set) {
		cases := []convCase{
			conv(13, 14, 17, 9, 3, 1, 1, 1),
			conv(31, 30, 3, set.F32.Wide.Width+1, 7, 2, 0, 1),
			conv(9, 40, 4, 3, 1, 1, 0, 1),
		}
		for threads := 1; threads <= 3; threads++ {
			var lists [3][]workers.Task
			var dsts [3][]kernels.View
			var want [][]float32
			for _, c := range cases {
				dst, task := c.boundTo(t, set, threads)
				run(task, threads)
				want = append(want, kernels.Data[float32](dst))
				for j := range lists {
					dst, task := c.boundTo(t, set, 1)
					lists[j], dsts[j] = append(lists[j], task), append(dsts[j], dst)
				}
			}
			dst, task := cases[0].boundTo(t, set, threads)
			size := kernels.ShareScratch(threads, []workers.Task{task}, lists[:]...)
			most := 0
			for j, list := range lists {
				for _, task := range list {
					need, own := scratchOf(task)
					most = max(most, need)
					_, first := scratchOf(list[0])
					_, other := scratchOf(lists[(j+1)%len(lists)][0])
					if len(own) != 1 || len(own[0]) < need || &own[0][0] != &first[0][0] || &own[0][0] == &other[0][0] {
						t.Errorf("list %d does not have scratch memory of its own", j)
					}
				}
			}
			if want := int64(most * len(lists)); size != want {
				t.Errorf("%d bytes of scratch memory, want %d", size, want)
			}
			var wait sync.WaitGroup
			for _, list := range lists {
				wait.Go(func() {
					for _, task := range list {
						run(task, 1)
					}
				})
			}
			wait.Wait()
			run(task, threads)
			for j := range dsts {
				for i, dst := range dsts[j] {
					if !slices.Equal(kernels.Data[float32](dst), want[i]) {
						t.Errorf("%v, list %d: another result than alone", cases[i], j)
					}
				}
			}
			if !slices.Equal(kernels.Data[float32](dst), want[0]) {
				t.Errorf("%v, %d threads: another result than before", cases[0], threads)
			}
		}
	})
}
