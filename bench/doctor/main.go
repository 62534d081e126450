// Doctor tells which instruction sets' kernels this machine and this build can use, and
// why not the others.
//
//	go run ./bench/doctor
//	go run ./bench/doctor -isas     only the names of the usable instruction sets
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"firebench/bench/machine"
	"firebench/kernels"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("doctor", flag.ContinueOnError)
	flags.SetOutput(stderr)
	names := flags.Bool("isas", false, "print the names of the usable instruction sets, nothing else")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "doctor: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	usable, err := kernels.Supported()
	if err == nil && *names {
		for _, isa := range usable {
			fmt.Fprintln(stdout, isa)
		}
		return 0
	}
	if !*names {
		describe(stdout, usable)
	}
	if err != nil {
		fmt.Fprintf(stderr, "doctor: %v\n", err)
		return 1
	}
	return 0
}

// describe prints what the machine is, and of each instruction set whether it can be
// used. usable lists those that are, slowest first; it is nil when FIREBENCH_ISA is wrong.
func describe(w io.Writer, usable []kernels.ISA) {
	c := cpuid.CPU
	fmt.Fprintf(w, "processor    %s, family/model/stepping %s, %d cores, %s/%s\n", c.BrandName, machine.ID(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(w, "caches       L1d %d, L2 %d, L3 %d bytes\n", c.Cache.L1D, c.Cache.L2, c.Cache.L3)
	fmt.Fprintf(w, "records      results/%s\n", machine.Name())
	for _, isa := range kernels.ISAs() {
		_, err := kernels.For(isa)
		state := "usable"
		switch {
		case err != nil:
			state = "not usable: " + strings.TrimPrefix(err.Error(), "kernels: ")
		case usable != nil && !slices.Contains(usable, isa):
			state = "not used: excluded by FIREBENCH_ISA=" + os.Getenv("FIREBENCH_ISA")
		case usable != nil && isa == usable[len(usable)-1]:
			state = "usable, the fastest"
		}
		fmt.Fprintf(w, "%-12v %s\n", isa, state)
	}
}
