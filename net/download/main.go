// Command download brings published weights and networks to a cache folder and prints where they are.
//
// Usage:
//
//	go run ./net/download [-dir DIR] [NAME...]
//	go run ./net/download -list
//
// Without a NAME these are the two files that the README uses, compressed_SqueezeNet.net and squeezenet1.1_fp16.onnx.
// Each file is of known size and SHA-256, and whatever else arrives is refused. A file that is there is checked, not loaded
// again; a download that was broken off goes on where it ended.
//
//	-dir DIR    the folder (firebench/weights in the user's cache folder)
//	-list       print what there is: name, size, SHA-256, what it is and the address
//
// Standard output has the path of each file, one on a line, so that it can be used as
//
//	go run ./net/classify -weights "$(go run ./net/download compressed_SqueezeNet.net)" picture.jpg
//
// A file that cannot be had is one line on standard error, which says what to do without a connection; the others are
// loaded all the same. The exit status is then 1, and 2 for wrong usage.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"firebench/net/cli"
)

const name = "download"

func main() { cli.Main(run) }

// run is the command, see [cli.Func].
func run(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	o, status, ok := cli.Parse(name, args, parse, usage, stdout, stderr)
	if !ok {
		return status
	}
	return cli.Status(stderr, name, o.run(ctx, newClient(), stdout, stderr))
}

// options are the command line.
type options struct {
	dir   string // "" for the default
	list  bool
	files []published
}

// newFlags returns the flags, which store what they parse in o.
func newFlags(o *options) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run reports errors, in one line
	fs.StringVar(&o.dir, "dir", "", "the folder `DIR` (default firebench/weights in the user's cache folder)")
	fs.BoolVar(&o.list, "list", false, "print what there is")
	return fs
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: download [-dir DIR] [NAME...]")
	fmt.Fprintln(w, "Without a NAME: the files that the README uses. download -list prints all names.")
	fs := newFlags(&options{})
	fs.SetOutput(w)
	fs.PrintDefaults()
}

// parse checks the command line. Its errors are wrong usage, or flag.ErrHelp.
func parse(args []string) (o options, err error) {
	fs := newFlags(&o)
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.list && fs.NArg() > 0 {
		return o, fmt.Errorf("-list with %s: it prints all files", fs.Arg(0))
	}
	for _, arg := range fs.Args() {
		f, err := find(arg)
		if err != nil {
			return o, err
		}
		o.files = append(o.files, f)
	}
	if fs.NArg() == 0 {
		o.files = table[:2]
	}
	return o, nil
}

// run prints the list, or downloads the files.
func (o *options) run(ctx context.Context, client *http.Client, stdout, stderr io.Writer) error {
	if o.list {
		for _, f := range table {
			if _, err := fmt.Fprintf(stdout, "%s\t%d\t%s\t%s\t%s\n", f.name, f.size, f.sha256, f.what, f.url); err != nil {
				return fmt.Errorf("standard output: %w", err)
			}
		}
		return nil
	}
	dir := o.dir
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("no cache folder: %w; use -dir", err)
		}
		dir = filepath.Join(cache, "firebench", "weights")
	}
	progress := cli.NewProgress(stderr)
	d := fetcher{client: client, dir: dir, progress: func(f published, n int64) {
		progress.Show("%s: %.1f of %.1f MB", f.name, float64(n)/1e6, float64(f.size)/1e6)
	}}
	failed := 0
	for _, f := range o.files {
		path, err := d.fetch(ctx, f)
		progress.Clear()
		if ctx.Err() != nil {
			return cli.ErrInterrupted
		}
		if err != nil {
			cli.Report(stderr, name, err)
			failed++
			continue
		}
		if _, err := fmt.Fprintln(stdout, path); err != nil {
			return fmt.Errorf("standard output: %w", err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d files are missing", failed, len(o.files))
	}
	return nil
}
