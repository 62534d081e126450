// Doctor tells which kernels this machine and this build can use, and why not the
// others.
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

	"github.com/klauspost/cpuid/v2"

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
	isas, err := kernels.Supported()
	if err != nil {
		fmt.Fprintf(stderr, "doctor: %v\n", err)
		return 1
	}
	if *names {
		for _, isa := range isas {
			fmt.Fprintln(stdout, isa)
		}
		return 0
	}
	c := cpuid.CPU
	fmt.Fprintf(stdout, "processor  %s, %d cores, %s/%s\n", c.BrandName, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(stdout, "caches     L1d %d, L2 %d, L3 %d bytes\n", c.Cache.L1D, c.Cache.L2, c.Cache.L3)
	fmt.Fprintf(stdout, "kernels    %v, the last one is used\n", isas)
	for _, isa := range []kernels.ISA{kernels.Scalar, kernels.AVX2, kernels.AVX512, kernels.NEON} {
		if _, err := kernels.For(isa); err != nil {
			fmt.Fprintf(stdout, "%-10v %v\n", isa, err)
		}
	}
	return 0
}
