package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/kernels/kerneltest"
	"firebench/net/files"
)

// changing is an augmentation that does all that one can.
var changing = []Augment{
	{Crop: true, Pad: 4, Mirror: true, Jitter: 0.4},
	{MinArea: 0.2, Mirror: true, Jitter: 0.4},
}

// classes returns a tree of two classes with n pictures each to learn from and a few to validate with, of sizes around
// w×h. Each picture of odd is text.
func classes(n, w, h int, odd ...int) tree {
	tr := tree{}
	for i := range 2*n + 6 {
		folder := "train"
		if i >= 2*n {
			folder = "val"
		}
		data := noise(w+i%3, h+i%2, uint64(i))
		if slices.Contains(odd, i) {
			data = []byte("This is no picture.\n")
		}
		tr[path.Join(folder, string("ab"[i%2]), fmt.Sprintf("%03d.png", i))] = data
	}
	return tr
}

// TestSamePixels compares what the network is validated with, bit by bit, with what classify and accuracy show it.
func TestSamePixels(t *testing.T) {
	names := []string{"caffe-bgr-224", "torchvision-rgb-224", "cifar-rgb-32"}
	sizes := [][2]int{{32, 32}, {33, 32}, {256, 256}, {300, 257}, {90, 401}, {1200, 8}, {8, 900}}
	if testing.Short() {
		names, sizes = names[1:], sizes[:2]
	}
	for _, name := range names {
		p := preprocessor(t, name)
		tr := tree{"train/a/0.png": nil, "train/b/0.png": nil}
		for i, size := range sizes {
			tr[fmt.Sprintf("val/a/%d.png", i)] = noise(size[0], size[1], uint64(i))
		}
		for _, at := range tr.forms(t) {
			for _, memory := range []int64{0, 16 << 10} {
				if memory > 0 && filepath.Ext(at) == ".gz" {
					continue
				}
				d := open(t, at, Options{Preprocessor: p, Memory: memory})
				l := loader(t, d.Val, LoaderOptions{Batch: 3, Threads: 2})
				n := 0
				for _, b := range rest(t, l) {
					for i := range b.Labels {
						want := kernels.NewView(kernels.Type{}, 1, p.Side(), p.Side(), 3, 0)
						if err := p.Read(want, bytes.NewReader(tr[fmt.Sprintf("val/a/%d.png", n)])); err != nil {
							t.Fatal(err)
						}
						size := len(want.Memory)
						if !bytes.Equal(b.Input.Memory[size*i:][:size], want.Memory) {
							t.Errorf("%s: picture %d of %s differs", name, n, filepath.Base(at))
						}
						n++
					}
				}
				if n != len(sizes) {
					t.Errorf("%d pictures, want %d", n, len(sizes))
				}
			}
		}
	}
}

// TestDeterministic makes the same batches in all ways, of pictures some of which cannot be read.
func TestDeterministic(t *testing.T) {
	tr := classes(8, 40, 36, 3, 4)
	forms := tr.forms(t)
	for _, a := range changing {
		o := LoaderOptions{Batch: 5, Train: true, Augment: a, Seed: 7, Threads: 1}
		const batches = 10 // of 3 epochs and a part of the fourth
		var want []Batch
		l := loader(t, open(t, forms[0], Options{}).Train, o)
		if l.Steps() != 3 {
			t.Fatalf("%d steps, want 3", l.Steps())
		}
		for i := range batches {
			b := next(t, l)
			if b.Epoch != i/3 || b.Step != i%3 || len(b.Labels) != 5 {
				t.Errorf("batch %d is step %d of epoch %d with %d pictures", i, b.Step, b.Epoch, len(b.Labels))
			}
			want = append(want, b)
		}
		for i, other := range []struct {
			form    string
			memory  int64
			threads int
			ahead   int
			first   int // batch
		}{
			{forms[0], 0, 2, 0, 0}, {forms[0], 0, 4, 7, 0}, {forms[0], 8 << 10, 3, 1, 0}, {forms[0], 20 << 10, 2, 0, 0},
			{forms[1], 0, 2, 0, 0}, {forms[1], 20 << 10, 2, 0, 0}, {forms[2], 0, 2, 0, 0}, {forms[2], 128 << 10, 2, 0, 0},
			{forms[0], 0, 2, 0, 4}, {forms[0], 0, 2, 0, 6},
		} {
			o := o
			o.Threads, o.Ahead = other.threads, other.ahead
			l := loader(t, open(t, other.form, Options{Memory: other.memory}).Train, o)
			if err := l.Seek(other.first/3, other.first%3); err != nil {
				t.Fatal(err)
			}
			for _, w := range want[other.first:] {
				if got := next(t, l); !same(got, w) {
					t.Fatalf("%+v: batch of step %d of epoch %d differs in way %d: pictures %v, want %v", a, w.Step, w.Epoch, i, got.Pictures, w.Pictures)
				}
			}
		}
		// Another seed, or another augmentation, makes others.
		o.Seed = 8
		if got := next(t, loader(t, open(t, forms[0], Options{}).Train, o)); same(got, want[0]) {
			t.Errorf("%+v: the seed does not matter", a)
		}
		if bytes.Equal(want[0].Input.Memory, want[3].Input.Memory) {
			t.Errorf("%+v: epochs are alike", a)
		}
	}
}

// TestSeek goes forth and back in the middle of what has been made ahead.
func TestSeek(t *testing.T) {
	d := open(t, classes(8, 32, 32).folder(t), Options{})
	o := LoaderOptions{Batch: 4, Train: true, Augment: changing[0], Threads: 2}
	l := loader(t, d.Train, o)
	var want []Batch
	for range 9 {
		want = append(want, next(t, l))
	}
	for _, i := range []int{3, 8, 0, 0, 4, 5, 1} {
		if err := l.Seek(i/4, i%4); err != nil {
			t.Fatal(err)
		}
		for _, w := range want[i:min(i+2, len(want))] {
			if !same(next(t, l), w) {
				t.Errorf("batch %d differs", i)
			}
		}
	}
	// The end of an epoch is the start of the next one.
	if err := l.Seek(0, 4); err != nil || !same(next(t, l), want[4]) {
		t.Errorf("error %v, or another batch than that of epoch 1", err)
	}
	for _, at := range [][2]int{{-1, 0}, {0, -1}, {0, 5}} {
		want := fmt.Sprintf("dataset: step %d of epoch %d, expected 0 to 4 of an epoch that is not negative", at[1], at[0])
		if err := l.Seek(at[0], at[1]); err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestEpochs counts how often each picture comes.
func TestEpochs(t *testing.T) {
	d := open(t, classes(6, 32, 32).folder(t), Options{})
	l := loader(t, d.Train, LoaderOptions{Batch: 4, Train: true})
	var orders []string
	for range 4 {
		var order []int
		for range l.Steps() {
			b := next(t, l)
			for i, p := range b.Pictures {
				if b.Labels[i] != d.Train.Label(p) {
					t.Errorf("picture %d has label %d, want %d", p, b.Labels[i], d.Train.Label(p))
				}
			}
			order = append(order, b.Pictures...)
		}
		orders = append(orders, fmt.Sprint(order))
		slices.Sort(order)
		if fmt.Sprint(order) != "[0 1 2 3 4 5 6 7 8 9 10 11]" {
			t.Errorf("an epoch has the pictures %v", order)
		}
	}
	slices.Sort(orders)
	if len(slices.Compact(orders)) != 4 {
		t.Errorf("epochs have the same order: %v", orders)
	}
	// Fewer pictures than a batch has: in 12 + 12 + 1 places, each is there twice and one three times.
	l = loader(t, d.Train, LoaderOptions{Batch: 25, Train: true})
	counts := make([]int, 12)
	pictures := next(t, l).Pictures
	if slices.Equal(pictures[:12], pictures[12:24]) {
		t.Error("pictures come twice in the same order")
	}
	for _, p := range pictures {
		counts[p]++
	}
	slices.Sort(counts)
	if fmt.Sprint(counts) != "[2 2 2 2 2 2 2 2 2 2 2 3]" || l.Steps() != 1 {
		t.Errorf("%d steps, pictures come %v times", l.Steps(), counts)
	}

	// Each place of each epoch has its own changes.
	picture := noise(32, 32, 1)
	d = open(t, tree{"train/a/1.png": picture, "train/a/2.png": picture, "train/b/1.png": picture, "train/b/2.png": picture, "val/a/1.png": picture}.folder(t), Options{})
	l = loader(t, d.Train, LoaderOptions{Batch: 2, Train: true, Augment: changing[1]})
	seen := map[string]bool{}
	for range 6 {
		memory := next(t, l).Input.Memory
		seen[string(memory[:len(memory)/2])], seen[string(memory[len(memory)/2:])] = true, true
	}
	if len(seen) != 12 {
		t.Errorf("a picture has %d forms in 12 places", len(seen))
	}
}

// TestUnreadable has pictures that cannot be read.
func TestUnreadable(t *testing.T) {
	tr := classes(5, 32, 32, 1, 4, 10, 15)
	var memory []int64
	for _, at := range tr.forms(t) {
		d := open(t, at, Options{})
		text := func(name string) string {
			return d.in(name) + ": not a JPEG, PNG or GIF image"
		}
		l := loader(t, d.Train, LoaderOptions{Batch: 5, Train: true, Threads: 3})
		named := map[string]int{}
		for range 100 * l.Steps() {
			b := next(t, l)
			for _, err := range b.Skipped {
				named[err.Error()]++
			}
			for _, p := range b.Pictures {
				if name := d.Train.Name(p); strings.HasSuffix(name, "001.png") || strings.HasSuffix(name, "004.png") {
					t.Errorf("%s is in a batch", name)
				}
			}
			if len(b.Labels) != 5 {
				t.Errorf("%d pictures in a batch, want 5", len(b.Labels))
			}
		}
		l.Close()
		for _, s := range l.slots {
			for _, f := range s.failed {
				if len(f) > 8 {
					t.Errorf("%d failures for a place, more each time", len(f))
				}
			}
		}
		if len(named) != 2 || named[text("train/b/001.png")] != 1 || named[text("train/a/004.png")] != 1 || d.Unreadable() != 2 {
			t.Errorf("named %v, %d counted", named, d.Unreadable())
		}

		// All six of val are in order of their names: a 10, 12, 14 and b 11, 13, 15.
		for round := range 2 {
			l := loader(t, d.Val, LoaderOptions{Batch: 4})
			var pictures []int
			skipped := 0
			for {
				b, err := l.Next(context.Background())
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if round == 0 {
					for _, err := range b.Skipped {
						if want := text([]string{"val/a/010.png", "val/b/015.png"}[skipped]); err.Error() != want {
							t.Errorf("error %v, want %s", err, want)
						}
						skipped++
					}
				} else if len(b.Skipped) > 0 {
					t.Errorf("named again: %v", b.Skipped)
				}
				pictures = append(pictures, b.Pictures...)
				for i, p := range b.Pictures {
					want := kernels.NewView(kernels.Type{}, 1, 32, 32, 3, 0)
					name := d.Val.pictures[p].path
					if err := d.preprocessor.Read(want, bytes.NewReader(tr[name])); err != nil {
						t.Fatal(err)
					}
					if size := len(want.Memory); !bytes.Equal(b.Input.Memory[size*i:][:size], want.Memory) {
						t.Errorf("%s is not in its place", name)
					}
				}
			}
			if fmt.Sprint(pictures) != "[1 2 3 4]" || d.Unreadable() != 4 {
				t.Errorf("pictures %v, %d counted", pictures, d.Unreadable())
			}
			if _, err := l.Next(context.Background()); !errors.Is(err, io.EOF) {
				t.Errorf("error %v behind the end", err)
			}
		}

		memory = append(memory, d.Memory()) // of all pictures

		strict := open(t, at, Options{Strict: true})
		l = loader(t, strict.Val, LoaderOptions{Batch: 2})
		for range 2 {
			if _, err := l.Next(context.Background()); err == nil || err.Error() != text("val/a/010.png") {
				t.Errorf("error %v, want %s", err, text("val/a/010.png"))
			}
		}
		l = loader(t, strict.Train, LoaderOptions{Batch: 10, Train: true})
		if _, err := l.Next(context.Background()); err == nil || !strings.HasSuffix(err.Error(), ": not a JPEG, PNG or GIF image") {
			t.Errorf("error %v, want one of a picture", err)
		}
	}

	if memory[1] != memory[0] || memory[2] != memory[0] {
		t.Errorf("pictures take %d bytes, want the same from all forms", memory)
	}

	at := classes(1, 32, 32, 0, 1).folder(t)
	l := loader(t, open(t, at, Options{}).Train, LoaderOptions{Batch: 2, Train: true})
	want := at + ": 1000 pictures in a row cannot be read, the last: " + at
	if _, err := l.Next(context.Background()); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s…", err, want)
	}
}

// TestVanished removes a picture that has been found.
func TestVanished(t *testing.T) {
	at := classes(2, 32, 32).folder(t)
	d := open(t, at, Options{})
	gone := d.Val.Name(0)
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	want := files.Error(gone, errors.New(kerneltest.StatError(t, gone))).Error()
	if b := next(t, loader(t, d.Val, LoaderOptions{Batch: 6})); len(b.Labels) != 5 || len(b.Skipped) != 1 || b.Skipped[0].Error() != want {
		t.Errorf("%d pictures and errors %v, want %s", len(b.Labels), b.Skipped, want)
	}
}

// TestCancel ends contexts before and while a batch is made.
func TestCancel(t *testing.T) {
	d := open(t, classes(4, 32, 32).folder(t), Options{})
	l := loader(t, d.Train, LoaderOptions{Batch: 4, Train: true})
	want := []Batch{next(t, l), next(t, l)}
	if err := l.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l.slots[0].done <- <-l.slots[0].done // when the batch is there
	for range 20 {
		if _, err := l.Next(ctx); err != context.Canceled {
			t.Errorf("error %v", err)
		}
	}
	if !same(next(t, l), want[0]) {
		t.Error("another batch after an interruption")
	}
	d.Train.pictures[0].mu.Lock() // whoever wants its pixels waits
	defer d.Train.pictures[0].mu.Unlock()
	if err := l.Seek(5, 0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		for {
			if _, err := l.Next(ctx); err != nil {
				failed <- err
				return
			}
		}
	}()
	cancel()
	if err := <-failed; err != context.Canceled {
		t.Errorf("error %v", err)
	}
}

func TestLoaderRefuses(t *testing.T) {
	d := open(t, classes(2, 32, 32).folder(t), Options{})
	for _, test := range []struct {
		o    LoaderOptions
		want string
	}{
		{LoaderOptions{}, "dataset: a batch of 0 pictures, expected 1 to 1048576"},
		{LoaderOptions{Batch: 1, Threads: -1}, "dataset: -1 threads"},
		{LoaderOptions{Batch: 1, Ahead: -1}, "dataset: -1 batches ahead, expected 1 to 1000"},
		{LoaderOptions{Batch: 1, Augment: Augment{Pad: 4}}, "dataset: 4 pixels added on each side without a random crop"},
		{LoaderOptions{Batch: 1, Augment: Augment{Pad: -1}}, "dataset: -1 pixels added on each side, expected 0 to 256"},
		{LoaderOptions{Batch: 1, Augment: Augment{MinArea: 2}}, "dataset: at least 2 of a picture's area, expected 0 to 1"},
		{LoaderOptions{Batch: 1, Augment: Augment{MinArea: 0.5, Crop: true}}, "dataset: both a random crop and a random resized crop"},
		{LoaderOptions{Batch: 1, Augment: Augment{Jitter: 1}}, "dataset: jitter 1, expected at least 0 and less than 1"},
	} {
		if _, err := d.Train.Loader(test.o); err == nil || err.Error() != test.want {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
}

// TestAllocations makes batches of pictures that are in memory.
func TestAllocations(t *testing.T) {
	d := open(t, classes(16, 36, 33).folder(t), Options{})
	for _, a := range changing {
		l := loader(t, d.Train, LoaderOptions{Batch: 8, Train: true, Augment: a, Threads: 2})
		epoch := func() {
			for range l.Steps() {
				if _, err := l.Next(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
		}
		epoch() // decodes the pictures
		// The runtime sometimes allocates for itself. A loader that allocates would do so every time.
		n := 1.0
		for tries := 0; n != 0 && tries < 5; tries++ {
			n = testing.AllocsPerRun(1, epoch)
		}
		if n != 0 {
			t.Errorf("%+v: %g allocations in an epoch", a, n)
		}
	}
}

// TestFlowers compares photographs, as the network is validated with them, with what classify shows it.
func TestFlowers(t *testing.T) {
	at := kerneltest.Shared(t, "data/flowers")
	p := preprocessor(t, "caffe-bgr-224")
	d := open(t, at, Options{Preprocessor: p, Memory: 2 << 20}) // of ten photographs
	if strings.Join(d.Classes, " ") != "daisy dandelion roses sunflowers tulips" || d.Train.Len() != 1200 || d.Val.Len() != 400 {
		t.Fatalf("classes %q, %d and %d pictures", d.Classes, d.Train.Len(), d.Val.Len())
	}
	batch := 12
	if testing.Short() {
		batch = 2
	}
	b := next(t, loader(t, d.Val, LoaderOptions{Batch: batch, Ahead: 1}))
	for i := range b.Labels {
		f, err := os.Open(d.Val.Name(i))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want := kernels.NewView(kernels.Type{}, 1, 224, 224, 3, 0)
		if err := p.Read(want, f); err != nil {
			t.Fatal(err)
		}
		if size := len(want.Memory); !bytes.Equal(b.Input.Memory[size*i:][:size], want.Memory) {
			t.Errorf("%s differs", d.Val.Name(i))
		}
	}
}

// TestCIFAR10 reads a few of 60,000 pictures.
func TestCIFAR10(t *testing.T) {
	at := kerneltest.Shared(t, "data/cifar10-jpeg.tar.gz")
	if testing.Short() {
		t.Skip("the whole archive is read")
	}
	d := open(t, at, Options{})
	if !slices.Equal(d.Classes, cifar10) || d.Train.Len() != 50000 || d.Val.Len() != 10000 {
		t.Fatalf("classes %q, %d and %d pictures", d.Classes, d.Train.Len(), d.Val.Len())
	}
	l := loader(t, d.Train, LoaderOptions{Batch: 128, Train: true, Augment: changing[0]})
	if l.Steps() != 390 {
		t.Errorf("%d steps, want 390", l.Steps())
	}
	counts := make([]int, 10)
	for range 4 {
		b := next(t, l)
		if len(b.Skipped) > 0 {
			t.Error(b.Skipped)
		}
		for _, label := range b.Labels {
			counts[label]++
		}
	}
	if slices.Min(counts) < 25 { // of 51 that are expected
		t.Errorf("pictures of each class: %v", counts)
	}
}
