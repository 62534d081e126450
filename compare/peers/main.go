// Command peers times the networks beside the engines that users would pick instead: ONNX Runtime,
// OpenVINO, ncnn, MNN, LiteRT and tract, and a plain Go program on gonum's BLAS; of training, PyTorch.
//
//	go run ./compare/peers [flags]
//
//	-nets A,B         networks, by name or as files that end in .onnx; default all by name
//	-threads 1,2      numbers of threads; default one, and one for each processor
//	-types f32,int8   the types that they compute with, and train for a step of training; default f32,int8
//	-impls A,B        implementations beside Firebench; default all
//	-rounds 10        how often they take turns
//	-layers           also print what the profiles say of each layer
//	-weights FILE     of the one network in -nets; without, weights are random
//	-o FILE           write the times here; default a new folder results/<machine>/<date>T<time>-<commit>-peers
//	-print FILE       print the tables of recorded times; measure nothing
//
// It makes a private Python environment for each peer in the user's cache folder, from the packages with
// pinned versions and hashes in workers/requirements; it exports each network to ONNX, int8 as QDQ,
// and starts a process for each implementation, with the same image. One whose logits are not close to
// Firebench's is skipped: in float32 by more than 1e-3 of the largest (ncnn, which computes with 16 bits
// where it can: 1e-2), in int8 by more than twice what Firebench's own are off from float32, or with
// another class on top. Of training, the loss before the first step and the changes of all weights in it must be that
// close to Firebench's. So is one that cannot be installed, fails or does not answer, in a line each.
//
// In each round all take their turns in a new random order. A turn is about 100 ms of calls, each timed
// within the process, or one call if that takes longer; its median is a sample. All others wait meanwhile, and use no processor. The
// tables are the medians of the rounds, and the ratios to Firebench within the rounds.
//
// The times are in the Go benchmark format: `go tool benchstat -col /impl FILE` reads them. A run that is
// interrupted leaves what is complete, and its exit status is 1.
//
// Run it in the module's root.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"firebench/bench/machine"
	"firebench/bench/recording"
	"firebench/compare/peers/timings"
	"firebench/net/cli"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/models"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// workerCommand is the first argument of a process that is a worker.
const workerCommand = "worker"

// options are the command line.
type options struct {
	args []string // as given

	nets    []string
	threads []int
	types   []string
	impls   []string
	rounds  int
	layers  bool
	weights string
	out     string
	print   string
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == workerCommand {
		return worker(args[1:], stdin, stdout)
	}
	o, err := parse(args, stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if o.print != "" {
		err = printTables(o.print, stdout)
	} else {
		err = o.measure(ctx, stdout, stderr)
	}
	if err != nil {
		cli.Report(stderr, "peers", err)
		return 1
	}
	return 0
}

// parse reads the command line. It has reported the errors that it returns.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{args: args, threads: []int{1}, types: types, impls: names()}
	if n := runtime.NumCPU(); n > 1 {
		o.threads = append(o.threads, n)
	}
	for _, m := range models.All() {
		o.nets = append(o.nets, m.Name)
	}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: peers [flags]")
		flags.PrintDefaults()
	}
	list := func(name, usage string, to *[]string, check func(s string) error) {
		flags.Func(name, usage+" (default "+strings.Join(*to, ",")+")", func(s string) error {
			*to = strings.Split(s, ",")
			for i, v := range *to {
				if slices.Contains((*to)[:i], v) {
					return fmt.Errorf("%s is there twice", v)
				}
				if err := check(v); err != nil {
					return err
				}
			}
			return nil
		})
	}
	list("nets", "networks `A,B`, by name or as files that end in .onnx", &o.nets, func(s string) error {
		if isFile(s) {
			return nil
		}
		_, err := models.Lookup(s)
		return err
	})
	var threads []string
	for _, n := range o.threads {
		threads = append(threads, strconv.Itoa(n))
	}
	list("threads", "numbers of threads `1,2`", &threads, func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < 1 || n > runtime.NumCPU() {
			return fmt.Errorf("expected 1 to %d, one for each processor", runtime.NumCPU())
		}
		return nil
	})
	list("types", "types `f32,int8` that the networks compute with, and train for a step of training", &o.types, func(s string) error {
		if !slices.Contains(allTypes, s) {
			return fmt.Errorf("expected some of %s", strings.Join(allTypes, ","))
		}
		return nil
	})
	list("impls", "implementations `A,B` beside "+timings.Firebench, &o.impls, func(s string) error {
		if !slices.Contains(names(), s) {
			return fmt.Errorf("expected some of %s", strings.Join(names(), ","))
		}
		return nil
	})
	flags.IntVar(&o.rounds, "rounds", 10, "all take turns `N` times")
	flags.BoolVar(&o.layers, "layers", false, "print what the profiles say of each layer, too")
	flags.StringVar(&o.weights, "weights", "", "weights `FILE` of the one network in -nets; without, they are random")
	flags.StringVar(&o.out, "o", "", "write the times to `FILE` (default in a new folder results/<machine>/<date>T<time>-<commit>-peers)")
	flags.StringVar(&o.print, "print", "", "print the tables of the times in `FILE`; measure nothing")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.threads = nil
	for _, s := range threads {
		n, _ := strconv.Atoi(s) // which list has checked
		o.threads = append(o.threads, n)
	}
	if err := o.check(flags.Args(), flags.NFlag()); err != nil {
		fmt.Fprintf(stderr, "peers: %v\n", err)
		return nil, err
	}
	return o, nil
}

func isFile(net string) bool { return strings.HasSuffix(net, ".onnx") }

// check returns an error for a command line that makes no sense, with so many flags in it.
func (o *options) check(rest []string, given int) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.print != "" && given > 1:
		return errors.New("-print excludes all other flags")
	case o.rounds < 1 || o.rounds > 1000:
		return fmt.Errorf("-rounds is %d, expected 1 to 1000", o.rounds)
	case o.weights != "" && (len(o.nets) != 1 || isFile(o.nets[0])):
		return errors.New("-weights needs the name of one network in -nets")
	}
	return nil
}

// printTables prints those of a recorded run.
func printTables(path string, stdout io.Writer) error {
	r, err := timings.ReadFile(path)
	if err != nil {
		return err
	}
	return r.WriteText(stdout)
}

// measure measures, writes the times and prints their tables.
func (o *options) measure(ctx context.Context, stdout, stderr io.Writer) error {
	facts, err := machine.Facts()
	if err != nil {
		return err
	}
	header := recording.NewHeader(ctx, "./compare/peers", o.args)
	out, err := create(o.out, header)
	if err != nil {
		return err
	}
	defer out.discard()
	temp, err := os.MkdirTemp("", "firebench-peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)

	progress := cli.NewProgress(stderr)
	say := func(format string, args ...any) { cli.Report(stderr, "peers", fmt.Errorf(format, args...)) }
	m := &measurer{
		count: o.rounds, layers: o.layers,
		startLimit: 2 * time.Minute, answerLimit: time.Minute,
		rand: rand.New(rand.NewPCG(seed, 0)), say: say, progress: progress, dropped: map[string]bool{},
		run: &timings.Run{
			Recorded: header.Stamp(), Commit: header.Commit, Command: header.Command,
			Facts: slices.Concat(facts, machine.TestingFacts()),
		},
	}
	if l, ok := machine.CurrentLoad(); ok {
		m.run.Notes = append(m.run.Notes, "load "+l.String()+" at the start")
	}
	contestants, err := o.contestants(ctx, temp, m)
	if err != nil {
		return err
	}
	err = o.groups(ctx, temp, m, contestants)
	if ctx.Err() != nil {
		err = cli.ErrInterrupted
	}
	if len(m.run.Rows) == 0 {
		return err
	}
	if err != nil {
		m.run.Notes = append(m.run.Notes, fmt.Sprintf("incomplete: %v", err))
	}
	if err := errors.Join(err, out.write(m.run), m.run.WriteText(stdout)); err != nil {
		return err
	}
	say("the times are in %s", out.path)
	return nil
}

// contestants returns the implementations that can be started. Firebench is the first.
func (o *options) contestants(ctx context.Context, temp string, m *measurer) ([]contestant, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program, err := writeWorkers(temp)
	if err != nil {
		return nil, err
	}
	in, noPython := newInstaller(m.say)
	var list []contestant
	for _, p := range peers {
		if p.name != timings.Firebench && !slices.Contains(o.impls, p.name) || !slices.ContainsFunc(o.types, p.runs) {
			continue
		}
		command := []string{self, workerCommand}
		if p.requirements != "" {
			python, err := "", noPython
			if err == nil {
				python, err = in.environment(ctx, p.requirements)
			}
			if ctx.Err() != nil {
				return nil, cli.ErrInterrupted
			}
			if err != nil {
				m.skip(timings.Row{}, p.name, err)
				continue
			}
			command = []string{python, "-E", "-s", "-B", program} // nothing of the user's own Python
		}
		list = append(list, contestant{p, command})
	}
	return list, nil
}

// groups measures all networks with all types and numbers of threads.
func (o *options) groups(ctx context.Context, temp string, m *measurer, contestants []contestant) error {
	for _, name := range o.nets {
		m.progress.Show("%s: exporting", name)
		model, w, err := lookup(name, o.weights)
		if err != nil {
			return err
		}
		if err := o.network(ctx, temp, model, w, m, contestants); err != nil {
			return err
		}
	}
	return nil
}

// network measures one network.
func (o *options) network(ctx context.Context, temp string, model *graph.Model, w graph.Weights, m *measurer, contestants []contestant) error {
	dir, err := os.MkdirTemp(temp, "network")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // they are large
	n, err := prepare(dir, model, w, o.types)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // all others take as much as that
	for _, c := range n.computations {
		for _, threads := range o.threads {
			if err := m.measure(ctx, n, c, threads, contestants); err != nil {
				return err
			}
		}
	}
	return nil
}

// The files of a record.
const (
	recordFile = "peers.txt"
	recordPage = "README.md"
)

// An output is where the times go.
type output struct {
	path   string
	folder string // of a record, "" if the file was named
	file   *files.Pending
}

// create begins a file, or a record if no path is given.
func create(path string, h recording.Header) (*output, error) {
	out := &output{path: path}
	var err error
	if path == "" {
		if out.folder, err = recording.MakeFolder(h.Folder() + "-peers"); err != nil {
			return nil, err
		}
		out.path = filepath.Join(out.folder, recordFile)
	}
	if out.file, err = files.Create(out.path); err != nil {
		return nil, err
	}
	return out, nil
}

// write completes the file and the record's page.
func (out *output) write(r *timings.Run) error {
	if err := r.Write(out.file); err != nil {
		return err
	}
	if err := out.file.Commit(); err != nil {
		return err
	}
	if out.folder == "" {
		return nil
	}
	var page strings.Builder
	if err := r.WriteMarkdown(&page); err != nil {
		return err
	}
	return files.Write(filepath.Join(out.folder, recordPage), []byte(page.String()))
}

// discard removes what has not been completed.
func (out *output) discard() {
	out.file.Discard()
	if out.folder != "" {
		os.Remove(out.folder) // unless the record is in it
	}
}
