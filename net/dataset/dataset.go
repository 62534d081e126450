// Package dataset reads labelled pictures for training: it finds the classes in folders, archives and the binary
// files of CIFAR-10, decodes and augments pictures on other goroutines while the network learns from those before, and
// keeps decoded pictures in memory while they fit.
//
// [Open] finds the pictures, a [Loader] makes batches of them. What a batch holds depends on the pictures, the seed,
// the epoch and the step alone: not on the number of threads, the memory, or what came before.
package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"firebench/net/files"
	"firebench/net/preprocess"
)

// Options say how a data set is read.
type Options struct {
	// Preprocessor is the network's: it resizes pictures, says which square of them the network sees, and what values
	// their bytes become.
	Preprocessor *preprocess.Preprocessor

	// HeldOut is the share of each class that is kept for validation where the data has no pictures for that; 0 is a
	// tenth. Seed says which pictures those are.
	HeldOut float64
	Seed    uint64

	// Memory is how many bytes the pictures may take, DefaultMemory if it is 0: their names, those of a compressed
	// archive as they are in it, and as many of all as fit after they have been decoded and resized. Beside that,
	// pictures that are being decoded take at most preprocess.MaxMemory, and each loader takes what
	// [LoaderOptions] says.
	Memory int64

	// Strict says that a picture that cannot be read is an error. Otherwise a loader names it once, and goes on
	// without it.
	Strict bool

	// Classes and Pictures, if they are not 0, leave out all but the first so many classes, and of each class all but the
	// first so many pictures to learn from.
	Classes, Pictures int
}

// DefaultMemory is enough for CIFAR-10, and for 2,700 photographs of 256×256 pixels.
const DefaultMemory = 512 << 20

// A Dataset is pictures of several classes, some to learn from and others to validate with.
type Dataset struct {
	Classes    []string // their names, in the order of the labels
	Train, Val *Split

	path         string
	archive      bool
	preprocessor *preprocess.Preprocessor
	order        channelOrder
	strict       bool
	budget       budget
	files        []*os.File
	unreadable   atomic.Int64
}

// A Split is the pictures for one purpose.
type Split struct {
	dataset  *Dataset
	pictures []*picture
}

// Len returns how many pictures there are.
func (s *Split) Len() int { return len(s.pictures) }

// Label returns the label of picture i, an index of Classes.
func (s *Split) Label(i int) int { return int(s.pictures[i].label) }

// Name returns the name of picture i: its path, after that of the archive if it lies in one.
func (s *Split) Name(i int) string { return s.dataset.name(s.pictures[i]) }

// Open finds the pictures at path, which is one of
//
//   - a folder with the folders train and val (or valid, validation, test), in each of which there is a folder for
//     each class that has the pictures in it;
//   - a folder with a folder for each class, or with train alone: a share of each class is held out for validation;
//   - a folder with the files of CIFAR-10's binary version, data_batch_1.bin and so on, and test_batch.bin;
//   - a tar archive of one of these, which may be compressed with gzip.
//
// All may lie in further folders, one in the other. A picture is what is called one, .jpg, .jpeg, .png or .gif; names that
// begin with a dot are passed over. Pictures are read later, except those in a compressed archive: it
// is read once, and kept in memory. Files are not to change while the data set is open.
//
// The classes are in the order of their names, and so are the pictures of each; those of CIFAR-10's binary version
// are in its order.
func Open(path string, o Options) (*Dataset, error) {
	switch {
	case o.Preprocessor == nil:
		return nil, errors.New("dataset: no preprocessor")
	case o.HeldOut < 0 || o.HeldOut >= 1 || math.IsNaN(o.HeldOut):
		return nil, fmt.Errorf("dataset: a share of %g is held out, expected at least 0 and less than 1", o.HeldOut)
	case o.Memory < 0:
		return nil, fmt.Errorf("dataset: %d bytes of memory", o.Memory)
	case o.Classes < 0 || o.Classes == 1 || o.Pictures < 0:
		return nil, fmt.Errorf("dataset: %d classes with %d pictures, expected at least two with at least one (0: all)", o.Classes, o.Pictures)
	}
	d := &Dataset{
		path:         path,
		preprocessor: o.Preprocessor,
		order:        orderOf(o.Preprocessor),
		strict:       o.Strict,
		budget:       budget{limit: cmp.Or(o.Memory, DefaultMemory)},
	}
	if err := d.find(cmp.Or(o.HeldOut, 0.1), o.Seed); err != nil {
		d.Close()
		return nil, err
	}
	d.leave(o.Classes, o.Pictures)
	return d, nil
}

// leave leaves out all but a part, see [Options].
func (d *Dataset) leave(classes, pictures int) {
	if classes > 0 && classes < len(d.Classes) {
		d.Classes = d.Classes[:classes]
	}
	seen := make([]int, len(d.Classes))
	of := func(p *picture) bool { return int(p.label) < len(d.Classes) }
	d.Train.pictures = slices.DeleteFunc(d.Train.pictures, func(p *picture) bool {
		if of(p) {
			seen[p.label]++
		}
		return !of(p) || pictures > 0 && seen[p.label] > pictures
	})
	d.Val.pictures = slices.DeleteFunc(d.Val.pictures, func(p *picture) bool { return !of(p) })
}

// Close closes the files of d. Its loaders must have been closed.
func (d *Dataset) Close() error {
	var errs []error
	for _, f := range d.files {
		errs = append(errs, f.Close())
	}
	d.files = nil
	return errors.Join(errs...)
}

// Unreadable returns how many pictures could not be read until now.
func (d *Dataset) Unreadable() int { return int(d.unreadable.Load()) }

// Memory returns how many bytes the pictures take now, see [Options].
func (d *Dataset) Memory() int64 { return d.budget.used.Load() }

// find sets Classes, Train and Val.
func (d *Dataset) find(heldOut float64, seed uint64) error {
	info, err := os.Stat(d.path)
	if err != nil {
		return files.Error(d.path, err)
	}
	f := finding{dataset: d}
	if info.IsDir() {
		err = f.walkFolder()
	} else {
		d.archive = true
		err = f.walkArchive()
	}
	if err != nil {
		return err
	}
	if f.hasRecords() {
		err = f.arrangeRecords()
	} else {
		err = f.arrangeFolders()
	}
	if err != nil {
		return err
	}
	if len(d.Classes) == 1 {
		return fmt.Errorf("%s: one class, %s, expected at least two", d.path, d.Classes[0])
	}
	if d.Val.Len() == 0 {
		return d.holdOut(heldOut, seed)
	}
	return nil
}

// holdOut moves a share of each class from Train to Val.
func (d *Dataset) holdOut(share float64, seed uint64) error {
	all := d.Train.pictures
	d.Train.pictures = nil
	for label := range d.Classes {
		var class []*picture
		for _, p := range all {
			if int(p.label) == label {
				class = append(class, p)
			}
		}
		if len(class) < 2 {
			return fmt.Errorf("%s: class %s has one picture, expected at least two, of which one is held out for validation", d.path, d.Classes[label])
		}
		n := min(max(1, int(math.Round(share*float64(len(class))))), len(class)-1)
		r := newRandom(seed, uint64(label))
		held := make([]bool, len(class))
		order := make([]int32, len(class))
		r.permute(order)
		for _, i := range order[:n] {
			held[i] = true
		}
		for i, p := range class {
			s := d.Train
			if held[i] {
				s = d.Val
			}
			s.pictures = append(s.pictures, p)
		}
	}
	return nil
}

// in returns the name of what lies at a path with slashes below the data set's.
func (d *Dataset) in(path string) string {
	if d.archive {
		return d.path + ": " + path
	}
	return filepath.Join(d.path, filepath.FromSlash(path))
}

// name returns the name of a picture.
func (d *Dataset) name(p *picture) string {
	if p.record > 0 {
		return fmt.Sprintf("%s: record %d", d.in(p.path), p.record)
	}
	return d.in(p.path)
}

// setSplits sets Train and Val.
func (d *Dataset) setSplits(train, val []*picture) {
	d.Train, d.Val = &Split{d, train}, &Split{d, val}
}

// checkTrain returns an error if a class has no picture to learn from.
func (d *Dataset) checkTrain() error {
	counts := make([]int, len(d.Classes))
	for _, p := range d.Train.pictures {
		counts[p.label]++
	}
	if i := slices.Index(counts, 0); i >= 0 {
		return fmt.Errorf("%s: class %s has no picture to learn from", d.path, d.Classes[i])
	}
	return nil
}
