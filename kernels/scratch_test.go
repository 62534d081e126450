package kernels_test

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/kernels/workers"
)

// scratchOf returns how many bytes of scratch memory a task needs for each worker, and the
// buffers of the workers; nil for a task that needs none. It uses reflection, because package
// kernels exports neither.
func scratchOf(task workers.Task) (need int, buffers [][]byte) {
	v := reflect.ValueOf(task).Elem().FieldByName("scratch")
	if !v.IsValid() {
		return 0, nil
	}
	return int(v.FieldByName("need").Int()), *(*[][]byte)(v.FieldByName("buffers").Addr().UnsafePointer())
}

// guardScratch gives each worker of a task poisoned scratch memory of exactly the size that the
// task needs, beside an unreadable page. Otherwise no test would notice a kernel that reaches
// beyond it, or that reads scratch memory before it is written.
func guardScratch(t testing.TB, task workers.Task, memory []slab, side int) []slab {
	t.Helper()
	need, buffers := scratchOf(task)
	floats := need / kernels.Float32.Size()
	for i := range buffers {
		if i == len(memory) {
			memory = append(memory, guarded(t, floats))
		}
		buffers[i] = kernels.Bytes(memory[i].blank(side, floats))
	}
	return memory
}

// guardCommon does so for the memory that all workers of a task use.
func guardCommon(t testing.TB, task workers.Task, memory []slab, side int) []slab {
	t.Helper()
	v := reflect.ValueOf(task).Elem().FieldByName("scratch")
	floats := int(v.FieldByName("needCommon").Int()) / kernels.Float32.Size()
	if memory == nil {
		memory = []slab{guarded(t, floats)}
	}
	*(*[]byte)(v.FieldByName("common").Addr().UnsafePointer()) = kernels.Bytes(memory[0].blank(side, floats))
	return memory
}

// TestShareScratch lets tasks of all kinds share their scratch memory, several times and in
// different groups. Each must give what it gives with memory of its own, whichever task wrote to
// the memory before, and must allocate nothing when it runs.
func TestShareScratch(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		for threads := 1; threads <= 2; threads++ {
			type bound interface {
				bind(t testing.TB, set *kernels.Set, threads int) (kernels.View, workers.Task)
			}
			cases := []bound{
				conv(13, 14, 17, 9, 3, 1, 1, 1),
				conv(31, 30, 3, set.F32.Conv.Wide.Width+1, 7, 2, 0, 1),
				sparseCase{conv(9, 9, 4, 10, 5, 1, 2, 2), "sparse", 0.3},
				conv(9, 40, 4, 3, 1, 1, 0, 1), // direct, with fewer channels than its tile
			}
			var tasks []workers.Task
			var dsts []kernels.View
			var alone [][]float32
			for _, c := range cases {
				dst, task := c.bind(t, set, threads)
				run(task, threads)
				alone = append(alone, kernels.Data[float32](dst))
				dst, task = c.bind(t, set, threads)
				tasks, dsts = append(tasks, task), append(dsts, dst)
			}
			relu, err := kernels.BindReLU(set, dsts[0], dsts[0], threads) // needs no scratch memory
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
					if n := testing.AllocsPerRun(5, func() { pool.Run(context.Background(), tasks[i]) }); n != 0 {
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
						t.Errorf("%d threads: worker %d does not have the same scratch memory for all tasks and another one than worker 0", threads, i)
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

// TestShareScratchAlone runs lists of tasks at the same time, each list on a thread of its own.
// When they are done, it runs a task on all threads in the same memory.
func TestShareScratchAlone(t *testing.T) {
	kerneltest.EachF32(t, func(t *testing.T, set *kernels.Set) {
		cases := []convCase{
			conv(13, 14, 17, 9, 3, 1, 1, 1),
			conv(31, 30, 3, set.F32.Conv.Wide.Width+1, 7, 2, 0, 1),
			conv(9, 40, 4, 3, 1, 1, 0, 1),
		}
		for threads := 1; threads <= 3; threads++ {
			var lists [3][]workers.Task
			var dsts [3][]kernels.View
			var want [][]float32
			for _, c := range cases {
				dst, task := c.bind(t, set, threads)
				run(task, threads)
				want = append(want, kernels.Data[float32](dst))
				for j := range lists {
					dst, task := c.bind(t, set, 1)
					lists[j], dsts[j] = append(lists[j], task), append(dsts[j], dst)
				}
			}
			dst, task := cases[0].bind(t, set, threads)
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
