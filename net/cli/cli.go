// Package cli is what the commands that run networks have in common: how they start and
// report, the flags of a network, and pictures as its inputs.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
)

// A Func is a command with its surroundings as arguments; it returns the exit status. When ctx
// ends, so does the command.
type Func = func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int

// Main runs the command of this process, and ends it.
func Main(run Func) {
	boundProcessors()
	// Decoding large pictures leaves hundreds of megabytes of garbage behind. Collect it in
	// time to stay within 1 GB, of which pictures may take half (preprocess.MaxMemory) and
	// AlexNet's weights a quarter. The process takes more than Go's limit: what has been
	// freed goes back to the system late.
	debug.SetMemoryLimit(672 << 20)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// threadsPerProcessor bounds -threads: more threads than processors wait for each other, and far
// more are a slip of the finger.
const threadsPerProcessor = 4

// boundProcessors lowers GOMAXPROCS, which the environment may set to any number, to what
// -threads may be: the runtime and all that goes by it take time and memory for each.
func boundProcessors() {
	runtime.GOMAXPROCS(min(runtime.GOMAXPROCS(0), threadsPerProcessor*runtime.NumCPU()))
}

// Parse parses the command line of the command of that name. Errors of parse are wrong usage, which Parse
// reports, or flag.ErrHelp, for which usage writes to stdout. If ok is false, the command ends with status.
func Parse[O any](name string, args []string, parse func([]string) (O, error), usage func(io.Writer), stdout, stderr io.Writer) (o O, status int, ok bool) {
	o, err := parse(args)
	switch {
	case err == nil:
		return o, 0, true
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
		return o, 0, false
	}
	Report(stderr, name, err)
	return o, 2, false
}

// Status returns the exit status of a command that ends with err, which it reports if it is not nil.
func Status(stderr io.Writer, name string, err error) int {
	if err == nil {
		return 0
	}
	Report(stderr, name, err)
	return 1
}

// Report writes an error in one line that names the command; file names may contain anything.
func Report(stderr io.Writer, name string, err error) {
	fmt.Fprintf(stderr, "%s: %s\n", name, strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(err.Error()))
}
