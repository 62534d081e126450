// Run records benchmarks: it builds firebench/bench once, runs the binary again
// and again, so that the samples of all benchmarks interleave, and prints the
// comparison of the networks.
//
//	go run ./bench/run                   the main job: squeezenet1.0 against alexnet, three to five minutes on 2 cores
//	go run ./bench/run -preset full      every network, layer, kernel and instruction set
//	go run ./bench/run -profile cpu.pprof    a CPU profile of one network instead, labeled by layer
//
// The samples go to results/<machine>/<date>-<commit>/bench.txt, the comparison
// beside them. Run it in the module's root.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"

	"firebench/kernels"
	"firebench/net/models"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// An invocation is one run of the test binary within a sample.
type invocation struct {
	bench     string // -test.bench
	benchtime time.Duration
	threads   []int // one process each: GOMAXPROCS
}

// options are the command line.
type options struct {
	preset, nets, out, profile string
	count                      int
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.preset, "preset", "quick", "what to measure: quick or full")
	flags.StringVar(&o.nets, "net", "squeezenet1.0,alexnet", "networks of the quick preset and the profile, separated by commas")
	flags.IntVar(&o.count, "count", 10, "samples")
	flags.StringVar(&o.out, "out", "", "folder of the results (default results/<machine>/<date>-<commit>)")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of the first network to this file and record nothing")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintf(stderr, "run: %v\n", err)
		return 2
	}
	if err := o.run(ctx, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "run: %v\n", err)
		return 1
	}
	return 0
}

func (o *options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unexpected argument %q", rest[0])
	}
	if o.preset != "quick" && o.preset != "full" {
		return fmt.Errorf("-preset is %q, expected quick or full", o.preset)
	}
	if o.count < 1 || o.count > 1000 {
		return fmt.Errorf("-count is %d, expected 1 to 1000", o.count)
	}
	for _, n := range strings.Split(o.nets, ",") {
		if _, err := models.Lookup(n); err != nil {
			return fmt.Errorf("-net: %w", err)
		}
	}
	return nil
}

func (o *options) run(ctx context.Context, stdout, stderr io.Writer) error {
	best, err := kernels.Best()
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "firebench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	binary := filepath.Join(tmp, "bench.test")
	fmt.Fprintln(stderr, "building the benchmarks")
	if err := command(ctx, stderr, stderr, "go", "test", "-c", "-o", binary, "./bench"); err != nil {
		return err
	}
	if o.profile != "" {
		return profile(ctx, stderr, binary, o.profile, strings.Split(o.nets, ",")[0], best)
	}
	source := commit(ctx) // of the binary; files may change meanwhile
	samples, err := o.record(ctx, stderr, binary, best, source)
	if err != nil {
		return err
	}
	dir := o.out
	if dir == "" {
		dir = filepath.Join("results", machine(), time.Now().UTC().Format("2006-01-02")+"-"+source)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	file := filepath.Join(dir, "bench.txt")
	if err := writeFile(file, samples); err != nil {
		return err
	}
	for _, format := range []string{"text", "md"} {
		var table bytes.Buffer
		if err := command(ctx, &table, stderr, "go", "run", "./compare", "-format", format, file); err != nil {
			return err
		}
		name := map[string]string{"text": "compare.txt", "md": "README.md"}[format]
		if err := writeFile(filepath.Join(dir, name), table.Bytes()); err != nil {
			return err
		}
		if format == "text" {
			stdout.Write(table.Bytes())
		}
	}
	fmt.Fprintf(stderr, "recorded in %s\n", dir)
	return nil
}

// invocations returns what one sample consists of.
func (o *options) invocations(best kernels.ISA) []invocation {
	threads := []int{1}
	if n := runtime.NumCPU(); n > 1 {
		threads = append(threads, n)
	}
	if o.preset == "full" {
		return []invocation{
			{"^Benchmark(Peak|ForkJoin|Net)$", 200 * time.Millisecond, threads},
			{"^Benchmark(Stage|Layer|Kernel)$", 50 * time.Millisecond, threads},
		}
	}
	nets := "^net=(" + strings.ReplaceAll(strings.ReplaceAll(o.nets, ".", `\.`), ",", "|") + ")$"
	isa := "^isa=" + best.String() + "$"
	return []invocation{
		{"^BenchmarkPeak$", 10 * time.Millisecond, threads},
		{"^BenchmarkNet$/" + nets + "/^batch=1$/^algo=direct$", 30 * time.Millisecond, threads},
		{"^BenchmarkNet$/" + nets + "/^batch=(1|8)$/^algo=auto$/" + isa, 60 * time.Millisecond, threads},
		{"^BenchmarkStage$/" + nets + "/^stage=/^algo=auto$/" + isa, 20 * time.Millisecond, threads[:1]},
		{"^BenchmarkLayer$/" + nets + "/^layer=/^op=/^algo=/" + isa, 10 * time.Millisecond, threads[:1]},
	}
}

// record returns the output of all samples.
func (o *options) record(ctx context.Context, stderr io.Writer, binary string, best kernels.ISA, source string) ([]byte, error) {
	progress := terminal(stderr)
	start := time.Now()
	var samples bytes.Buffer
	fmt.Fprintf(&samples, "# recorded %s, commit %s\n", start.UTC().Format(time.RFC3339), source)
	invocations := o.invocations(best)
	for i := range o.count {
		fmt.Fprintf(&samples, "# sample %d%s\n", i+1, load())
		for j, inv := range invocations {
			for _, threads := range inv.threads {
				if progress {
					done := float64(i*len(invocations)+j) / float64(o.count*len(invocations))
					fmt.Fprintf(stderr, "\r\033[Ksample %d of %d, %.0f %%, %s", i+1, o.count, 100*done, time.Since(start).Round(time.Second))
				}
				args := []string{"-test.run=^$", "-test.bench=" + inv.bench, "-test.benchtime=" + inv.benchtime.String(), "-test.cpu=" + strconv.Itoa(threads)}
				if err := command(ctx, &samples, stderr, binary, args...); err != nil {
					return nil, err
				}
			}
		}
	}
	if progress {
		fmt.Fprint(stderr, "\r\033[K")
	}
	return samples.Bytes(), nil
}

// profile runs one network long enough for a profile that shows its layers.
func profile(ctx context.Context, stderr io.Writer, binary, file, net string, best kernels.ISA) error {
	bench := fmt.Sprintf("^BenchmarkNet$/^net=%s$/^batch=1$/^algo=auto$/^isa=%v$", strings.ReplaceAll(net, ".", `\.`), best)
	return command(ctx, stderr, stderr, binary, "-test.run=^$", "-test.bench="+bench, "-test.benchtime=5s", "-test.cpuprofile="+file)
}

// command runs a program; an interrupt ends it.
func command(ctx context.Context, stdout, stderr io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		return fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return nil
}

// writeFile writes to a temporary name and renames.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path+".tmp", content, 0o666); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// machine names this machine for a folder: the processor and its cores.
func machine() string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.':
			return r
		}
		return ' '
	}, strings.ToLower(strings.NewReplacer("(R)", "", "(TM)", "").Replace(cpuid.CPU.BrandName)))
	if name = strings.Join(strings.Fields(name), "-"); name == "" {
		name = runtime.GOARCH
	}
	return fmt.Sprintf("%s-%dcores", name, runtime.NumCPU())
}

// commit names the source, "-dirty" with changes, "unknown" outside git.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=8", "--exclude=*").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// load describes how busy the machine is, where that can be told.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	return ", load " + strings.Join(strings.Fields(string(b))[:3], " ")
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
