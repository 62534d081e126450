package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"firebench/bench/machine"
	"firebench/bench/recording"
	"firebench/compare/samples"
	"firebench/net/files"
)

// The files of a record. Package report makes the pages from the samples.
const (
	samplesFile    = "bench.txt"
	incompleteFile = "bench-incomplete.txt" // the samples while more are to come
)

// A record is a folder with samples, while they are recorded.
type record struct {
	dir     string
	file    *os.File // incompleteFile
	size    int64    // of what has been written completely
	samples int
}

// create makes the folder of a record and its file with the header. dir may exist, but
// not with a record in it; if it is empty, the folder is named by the header, with
// a number at the end if that name is taken.
func create(dir string, h recording.Header) (*record, error) {
	var err error
	if dir != "" {
		err = os.MkdirAll(dir, 0o777)
	} else {
		dir, err = recording.MakeFolder(h.Folder())
	}
	if err != nil {
		return nil, err
	}
	for _, name := range []string{samplesFile, incompleteFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s has a record already, in %s; a record is never replaced", dir, name)
		}
	}
	// Not by package files: its temporary files vanish or look like rubbish, but
	// what a killed run leaves here is worth keeping.
	f, err := os.OpenFile(filepath.Join(dir, incompleteFile), os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	r := &record{dir: dir, file: f}
	if err := r.write([]byte(h.String())); err != nil {
		r.discard()
		return nil, err
	}
	return r, nil
}

// write adds text to the samples: all of it or, when it fails, nothing.
func (r *record) write(text []byte) error {
	n, err := r.file.Write(text)
	if err != nil {
		err = files.Error(r.file.Name(), err)
		if n > 0 {
			err = errors.Join(err, r.file.Truncate(r.size))
		}
		return err
	}
	r.size += int64(n)
	return nil
}

// fill records the samples and gives the file its name. When it fails on the way, the
// record holds the samples until then; without any, it is gone.
func (r *record) fill(ctx context.Context, s *sampler) error {
	var failure error
	for r.samples < s.count && failure == nil {
		var sample []byte
		if sample, failure = s.sample(ctx, r.samples+1); failure == nil {
			failure = r.write(sample)
		}
		if failure == nil {
			r.samples++
		}
	}
	s.end()
	if r.samples == 0 {
		r.discard()
		return failure
	}
	if failure != nil {
		// The disk may be full: then the record does without this line.
		_ = r.write(fmt.Appendf(nil, "# %d of %d samples: %s\n", r.samples, s.count, strings.ReplaceAll(failure.Error(), "\n", " ")))
		failure = fmt.Errorf("%w; %d of %d samples are kept in %s", failure, r.samples, s.count, r.dir)
	}
	return errors.Join(failure, r.complete())
}

// complete gives the samples their name.
func (r *record) complete() error {
	if err := r.file.Close(); err != nil {
		return err
	}
	return os.Rename(r.file.Name(), filepath.Join(r.dir, samplesFile))
}

// discard removes the file, and the folder if nothing else is in it.
func (r *record) discard() {
	r.file.Close()
	os.Remove(r.file.Name())
	os.Remove(r.dir)
}

// A sampler runs the benchmarks.
type sampler struct {
	binary      string
	invocations []invocation
	count       int
	stderr      io.Writer
	progress    bool // report it on stderr

	start     time.Time
	others    float64 // cores that other processes took in the worst sample
	described bool    // the layers of a network in a file have been described
}

// sample returns the output of all invocations, once each, between comments that say how
// busy the machine was. number counts from 1.
func (s *sampler) sample(ctx context.Context, number int) ([]byte, error) {
	if number == 1 {
		s.start = time.Now()
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# sample %d%s\n", number, load())
	start := time.Now()
	busy, known := machine.Busy()
	var own time.Duration
	for i, inv := range s.invocations {
		for _, threads := range inv.threads {
			if s.progress {
				done := float64((number-1)*len(s.invocations)+i) / float64(s.count*len(s.invocations))
				fmt.Fprintf(s.stderr, "\r\033[Ksample %d of %d, %.0f %%, %s", number, s.count, 100*done, time.Since(s.start).Round(time.Second))
			}
			var results bytes.Buffer
			worked, err := command(ctx, &results, s.stderr, s.binary, inv.args(threads)...)
			if err != nil {
				return nil, err
			}
			own += worked
			described := s.described // each process describes the layers anew
			for line := range bytes.Lines(results.Bytes()) {
				switch {
				case !samples.IsDescription(line):
					out.Write(line)
				case !described:
					out.Write(line)
					s.described = true
				}
			}
		}
	}
	fmt.Fprintf(&out, "# after sample %d%s", number, load())
	if end, ok := machine.Busy(); ok && known {
		cores := max(0, (end-busy-own).Seconds()/time.Since(start).Seconds())
		fmt.Fprintf(&out, ", other processes took %.2f of %d cores", cores, runtime.NumCPU())
		s.others = max(s.others, cores)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// end is called after the last sample.
func (s *sampler) end() {
	if s.progress {
		fmt.Fprint(s.stderr, "\r\033[K")
	}
	if s.others > 0.25 {
		fmt.Fprintf(s.stderr, "run: warning: other processes took up to %.2f cores during a sample; see the lines \"# after sample\"\n", s.others)
	}
}

// load describes how busy the machine is, where that can be told.
func load() string {
	if l, ok := machine.CurrentLoad(); ok {
		return ", load " + l.String()
	}
	return ""
}
