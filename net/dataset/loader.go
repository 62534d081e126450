package dataset

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"firebench/kernels"
)

// LoaderOptions say how batches are made. A loader takes (Ahead+1)·Batch·Side²·12 bytes for them.
type LoaderOptions struct {
	Batch int // pictures in a batch

	// Train says that the batches are to learn from: each epoch has the pictures in another order, and all batches are
	// full. What does not fill one at the end of an epoch is left out of it; if the pictures do not fill
	// a single one, the batch repeats some. A picture that cannot be read is replaced by another one.
	//
	// Without, all pictures that can be read come once, in order, and then io.EOF. A batch has fewer pictures if some cannot
	// be read, perhaps none, and the last one has the rest.
	Train bool

	Augment Augment
	Seed    uint64 // of the order and of Augment

	Threads int // goroutines that make batches, 0 for GOMAXPROCS-1, at least one
	Ahead   int // batches that are made ahead, 0 for 2
}

// A Batch is inputs of the network with their labels.
type Batch struct {
	Input    kernels.View // LoaderOptions.Batch images of Side×Side pixels with 3 channels, without a halo or gaps
	Labels   []int        // of the first images of Input, one for each picture; all of them, if it is to learn from
	Pictures []int        // which of the split's they are

	Epoch, Step int // from 0 on

	// Skipped are the errors of pictures that cannot be read. Each picture has one, in the first batch that needs it.
	Skipped []error
}

// A Loader makes batches of pictures on other goroutines, ahead of who asks for them.
type Loader struct {
	split *Split
	o     LoaderOptions
	steps int

	slots []*slot // a ring
	head  int     // the slot of the next batch
	held  bool    // the one before is the caller's
	err   error   // that ended it

	epoch, step int // of the batch that will be scheduled next
	order       []int32
	orderOf     [2]int // the epoch and the round that order is of

	jobs     chan job
	stopping atomic.Bool // jobs are not done, only passed
	workers  sync.WaitGroup
	closed   bool
}

// A slot is memory for a batch.
type slot struct {
	Batch
	scheduled bool
	images    int           // that it will have
	labels    []int         // for all images
	pictures  []int         // likewise, -1 for one that cannot be read
	failed    [][]failure   // likewise: those that were tried before
	left      atomic.Int32  // images that are not there yet
	done      chan struct{} // gets a value when none is left
}

// A failure is a picture that cannot be read.
type failure struct {
	picture int
	err     error
}

// A job is to make one image of a slot.
type job struct {
	slot  *slot
	image int
}

// Loader returns a loader of the pictures in s.
func (s *Split) Loader(o LoaderOptions) (*Loader, error) {
	if err := o.Augment.Check(); err != nil {
		return nil, err
	}
	side := s.dataset.preprocessor.Side()
	o.Threads = cmp.Or(o.Threads, max(1, runtime.GOMAXPROCS(0)-1))
	o.Ahead = cmp.Or(o.Ahead, 2)
	switch {
	case o.Batch < 1 || o.Batch > 1<<20:
		return nil, fmt.Errorf("dataset: a batch of %d pictures, expected 1 to %d", o.Batch, 1<<20)
	case o.Threads < 1:
		return nil, fmt.Errorf("dataset: %d threads", o.Threads)
	case o.Ahead < 1 || o.Ahead > 1000:
		return nil, fmt.Errorf("dataset: %d batches ahead, expected 1 to 1000", o.Ahead)
	case s.Len() == 0:
		return nil, fmt.Errorf("%s: no picture", s.dataset.path)
	}
	l := &Loader{split: s, o: o, orderOf: [2]int{-1, 0}}
	if o.Train {
		l.steps = max(1, s.Len()/o.Batch)
		l.order = make([]int32, s.Len())
	} else {
		l.steps = (s.Len() + o.Batch - 1) / o.Batch
	}
	for range o.Ahead + 1 {
		l.slots = append(l.slots, &slot{
			Batch:    Batch{Input: kernels.NewView(kernels.Type{}, o.Batch, side, side, 3, 0)},
			labels:   make([]int, o.Batch),
			pictures: make([]int, o.Batch),
			failed:   make([][]failure, o.Batch),
			done:     make(chan struct{}, 1),
		})
	}
	l.jobs = make(chan job, len(l.slots)*o.Batch) // scheduling never waits
	for range o.Threads {
		l.workers.Go(l.work)
	}
	return l, l.Seek(0, 0)
}

// Steps returns how many batches an epoch has.
func (l *Loader) Steps() int { return l.steps }

// Seek makes the batch of a step of an epoch the next one.
func (l *Loader) Seek(epoch, step int) error {
	if epoch < 0 || step < 0 || step > l.steps {
		return fmt.Errorf("dataset: step %d of epoch %d, expected 0 to %d of an epoch that is not negative", step, epoch, l.steps)
	}
	l.stopping.Store(true)
	for _, s := range l.slots {
		l.wait(s)
	}
	l.stopping.Store(false)
	l.head, l.held, l.err = 0, false, nil
	l.epoch, l.step = epoch, step
	for _, s := range l.slots {
		l.schedule(s)
	}
	return nil
}

// Close ends the goroutines. The loader cannot be used again, but to close it.
func (l *Loader) Close() {
	if l.closed {
		return
	}
	l.closed = true
	l.stopping.Store(true)
	close(l.jobs)
	l.workers.Wait()
}

// wait waits until a slot that has been scheduled is done.
func (l *Loader) wait(s *slot) {
	if s.scheduled {
		<-s.done
		s.scheduled = false
	}
}

// schedule has the next batch made in a slot, if there is one.
func (l *Loader) schedule(s *slot) {
	if l.step == l.steps {
		if !l.o.Train {
			return
		}
		l.epoch, l.step = l.epoch+1, 0
	}
	s.Epoch, s.Step, s.scheduled = l.epoch, l.step, true
	l.step++
	first := s.Step * l.o.Batch
	s.images = l.o.Batch
	if !l.o.Train {
		s.images = min(s.images, l.split.Len()-first)
	}
	s.left.Store(int32(s.images))
	for i := range s.images {
		s.failed[i] = s.failed[i][:0]
		s.pictures[i] = first + i
		if l.o.Train {
			s.pictures[i] = l.place(s.Epoch, first+i)
		}
	}
	for i := range s.images {
		l.jobs <- job{s, i}
	}
}

// place returns the picture at a place of an epoch. If they do not fill a batch, there are several rounds of them.
func (l *Loader) place(epoch, i int) int {
	n := l.split.Len()
	if of := [2]int{epoch, i / n}; l.orderOf != of {
		l.orderOf = of
		r := newRandom(l.o.Seed, uint64(epoch), uint64(i/n))
		r.permute(l.order)
	}
	return int(l.order[i%n])
}

// work makes images until there are no more jobs.
func (l *Loader) work() {
	m := newAugmenter(l.o.Augment, l.split.dataset.preprocessor)
	var scratch []byte
	for j := range l.jobs {
		if !l.stopping.Load() {
			l.fill(j, m, &scratch)
		}
		if j.slot.left.Add(-1) == 0 {
			j.slot.done <- struct{}{}
		}
	}
}

// maxReplaced is how many pictures are tried for one.
const maxReplaced = 1000

// fill makes one image.
func (l *Loader) fill(j job, m *augmenter, scratch *[]byte) {
	s, d := j.slot, l.split.dataset
	picture, place := s.pictures[j.image], uint64(s.Step*l.o.Batch+j.image)
	for try := range uint64(maxReplaced) {
		p := l.split.pictures[picture]
		px, err := d.pixels(p, scratch)
		if err == nil {
			r := newRandom(l.o.Seed, uint64(s.Epoch), place, 0)
			m.apply(s.image(j.image), px, &r)
			s.labels[j.image], s.pictures[j.image] = int(p.label), picture
			return
		}
		s.failed[j.image] = append(s.failed[j.image], failure{picture, err})
		if !l.o.Train {
			break
		}
		r := newRandom(l.o.Seed, uint64(s.Epoch), place, 1+try)
		picture = r.below(l.split.Len())
	}
	s.pictures[j.image] = -1
}

// Next returns the next batch, which is valid until the next call. The error is the one of ctx if that ends before the
// batch is there; Next can then be called again. Any other error is final, unless Seek follows.
func (l *Loader) Next(ctx context.Context) (*Batch, error) {
	if l.err != nil {
		return nil, l.err
	}
	if l.held {
		l.held = false
		l.schedule(l.slots[l.head])
		l.head = (l.head + 1) % len(l.slots)
	}
	s := l.slots[l.head]
	switch {
	case !s.scheduled:
		return nil, io.EOF
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.scheduled, l.held = false, true
	if l.err = l.complete(s); l.err != nil {
		return nil, l.err
	}
	return &s.Batch, nil
}

// complete makes the batch of what the goroutines made.
func (l *Loader) complete(s *slot) error {
	s.Labels, s.Pictures, s.Skipped = s.labels[:0], s.pictures[:0], nil
	for i := range s.images {
		for _, f := range s.failed[i] {
			p := l.split.pictures[f.picture]
			p.mu.Lock()
			named := p.named
			p.named = true
			p.mu.Unlock()
			switch {
			case l.split.dataset.strict:
				return f.err
			case !named:
				s.Skipped = append(s.Skipped, f.err)
			}
		}
		switch n := len(s.Labels); {
		case s.pictures[i] < 0 && l.o.Train:
			return fmt.Errorf("%s: %d pictures in a row cannot be read, the last: %w", l.split.dataset.path, maxReplaced, s.failed[i][maxReplaced-1].err)
		case s.pictures[i] < 0:
		default:
			if n < i {
				copy(s.image(n), s.image(i))
			}
			s.Labels, s.Pictures = append(s.Labels, s.labels[i]), append(s.Pictures, s.pictures[i])
		}
	}
	return nil
}

// image returns the values of an image.
func (s *slot) image(i int) []float32 {
	v := s.Input.Image(i)
	return kernels.Data[float32](v)[v.Offset:][:v.H*v.Row]
}
