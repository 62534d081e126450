package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"firebench/bench/machine"
)

// TestMain writes what the benchmark format has no place for elsewhere: the units'
// direction and the machine's facts. Only facts that never change are keys; every
// key splits benchstat's tables. It fails when -bench matches no benchmark, which
// testing calls a success.
func TestMain(m *testing.M) {
	flag.Parse()
	pattern := flag.Lookup("test.bench").Value.String()
	if pattern != "" {
		if cpus := strings.Split(flag.Lookup("test.cpu").Value.String(), ","); len(cpus) > 1 {
			os.Exit(each(cpus))
		} else if n, err := strconv.Atoi(cpus[0]); err == nil && n > 0 {
			runtime.GOMAXPROCS(n)
		}
		facts, err := machine.Facts()
		if err == nil {
			err = openModel()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		fmt.Printf("# %s\n", runtime.Version())
		for _, unit := range units() {
			fmt.Printf("Unit %s better=higher\n", unit)
		}
		for _, f := range facts {
			fmt.Printf("%s: %s\n", f.Key, f.Value)
		}
	}
	code := m.Run()
	plans.close()
	trainers.close()
	if code == 0 && pattern != "" {
		if err := met.check(pattern, topLevel); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// each runs the benchmarks in a process of their own for each value of -cpu. In one
// process, testing runs the first iteration of a benchmark with the value before, and
// where that iteration is long enough, it runs no other.
func each(cpus []string) int {
	for _, n := range cpus {
		cmd := exec.Command(os.Args[0], append(os.Args[1:], "-test.cpu="+n)...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			fmt.Fprintf(os.Stderr, "bench: -cpu %s: %v\n", n, err)
			return 1
		}
	}
	return 0
}

// TestHeader: the configuration lines say which machine this is.
func TestHeader(t *testing.T) {
	out, err := self(t, "ForkJoin").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\ncpu-id: " + machine.ID() + "\n", fmt.Sprintf("\ncores: %d\n", runtime.NumCPU()), "\nisas: scalar", "\ncaches: l1d=", "\nUnit GFLOP/s better=higher\n", "\nUnit GOP/s better=higher\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
