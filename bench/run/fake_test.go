package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"testing"
	"time"

	"firebench/bench/model"
	"firebench/net/models"
)

// The variables by which the tests tell a process what it is, and a pretended benchmark
// what to do.
const (
	roleVar  = "RUN_TEST_ROLE"  // below
	stateVar = "RUN_TEST_STATE" // folder of what pretended benchmarks leave
	hangVar  = "RUN_TEST_HANG"  // the invocation, from 1, that does not end
	failVar  = "RUN_TEST_FAIL"  // the invocation that fails
	limitVar = "RUN_TEST_LIMIT" // bytes that a file may have; see limitFiles
)

// TestMain lets the test binary play other roles than testing.
func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "benchmark":
		pretend(os.Args[1:])
	case "sleeper":
		time.Sleep(time.Hour)
	case "run":
		os.Setenv(roleVar, "benchmark")

		mainWith(fakeBuild)
	default:
		os.Exit(m.Run())
	}
}

// fakeBuild puts this binary in the place of the benchmarks.
func fakeBuild(_ context.Context, _ io.Writer, path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, data, 0o777); err != nil {
		return err
	}
	if limit, _ := strconv.Atoi(os.Getenv(limitVar)); limit > 0 {
		return limitFiles(limit)
	}
	return nil
}

// pretend does what the benchmarks do, without measuring: it prints the time of each
// network and stage that -test.bench names.
func pretend(args []string) {
	count := len(invoked()) + 1
	state := os.Getenv(stateVar)
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "pretended benchmark:", err)
			os.Exit(3)
		}
	}
	f, err := os.OpenFile(filepath.Join(state, "invoked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	check(err)
	_, err = fmt.Fprintln(f, strings.Join(args, " "))
	check(err)
	check(f.Close())
	switch strconv.Itoa(count) {
	case os.Getenv(failVar):
		check(errors.New("as told"))
	case os.Getenv(hangVar):
		pids := fmt.Sprint(os.Getpid())
		if runtime.GOOS != "windows" { // which has no process groups
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), roleVar+"=sleeper")
			child.Stdout = os.Stdout // as long as it lives, so does the pipe
			check(child.Start())
			pids += fmt.Sprint(" ", child.Process.Pid)
		}
		path := filepath.Join(state, "pids")
		check(os.WriteFile(path+".tmp", []byte(pids), 0o666))
		check(os.Rename(path+".tmp", path))
		time.Sleep(time.Hour)
	}
	for _, arg := range args {
		if path, ok := strings.CutPrefix(arg, "-test.cpuprofile="); ok {
			f, err := os.Create(path)
			check(err)
			check(pprof.StartCPUProfile(f))
			pprof.Do(context.Background(), pprof.Labels("layer", "conv1", "other", "tag"), func(context.Context) {
				// Work, not time, makes samples: the machine may be busy.
				x := 1
				for range 500_000_000 {
					x = x*5 + 1
				}
				work = x
			})
			pprof.StopCPUProfile()
			check(f.Close())
		}
	}
	fmt.Printf("isas: scalar\ncores: 2\npkg: firebench/bench\n# %s\n", strings.Repeat("padding ", 500))
	pattern := regexp.MustCompile(`/\^net=\((.*?)\)\$`).FindStringSubmatch(strings.Join(args, " "))
	if pattern == nil {
		return
	}
	file, err := model.Open(".")
	check(err)
	for _, net := range strings.Split(strings.ReplaceAll(pattern[1], `\`, ""), "|") {
		m, err := models.Lookup(net)
		if file != nil && file.Name == net {
			m, err = file.Model, nil
			for _, l := range file.Layers {
				fmt.Println(l)
			}
		}
		check(err)
		nodes, err := m.Infer()
		check(err)
		var stages []string
		macs := map[string]int64{}
		for _, n := range nodes {
			if _, ok := macs[n.Stage]; !ok {
				stages = append(stages, n.Stage)
			}
			macs[n.Stage] += n.Cost.MACs
			macs[""] += n.Cost.MACs
		}
		result := func(name string, macs int64) {
			fmt.Printf("Benchmark%s/type=f32/algo=auto/isa=scalar\t1\t%d ns/op\t2.000 GFLOP/s\t50.00 peak-%%\n", name, max(macs, 1))
		}
		result("Net/net="+net+"/batch=1", macs[""])
		for _, s := range stages {
			if macs[s] > 0 {
				result("Stage/net="+net+"/stage="+s, macs[s])
			}
		}
	}
	fmt.Println("PASS")
}

// work keeps the compiler from dropping a loop that only takes time.
var work int

// invoked returns the command lines of the pretended benchmarks so far.
func invoked() []string {
	b, err := os.ReadFile(filepath.Join(os.Getenv(stateVar), "invoked"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}
