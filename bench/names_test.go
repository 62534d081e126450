package bench

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"firebench/kernels"
	"firebench/net/graph"
)

// sub is b.Run, which runs a sub-benchmark if its name matches -bench; it keeps account
// of the names, so that a pattern that matches nothing can be told from them.
func sub(b *testing.B, name string, f func(b *testing.B)) {
	met.add(b.Name(), name)
	b.Run(name, func(b *testing.B) {
		f(b)
		if met.below[b.Name()] == nil {
			met.leaf(b.Name())
		}
	})
}

// eachNet runs f as a sub-benchmark for every network.
func eachNet(b *testing.B, f func(b *testing.B, n *network)) {
	for _, n := range networks {
		sub(b, "net="+n.Name, func(b *testing.B) { f(b, n) })
	}
}

// eachAlgo runs f as a sub-benchmark for every way to choose the convolutions' algorithm that makes a
// difference to a network of a type.
func eachAlgo(b *testing.B, n *network, t *numberType, f func(b *testing.B, algo string)) {
	all := steps(b, n, t)
	for _, algo := range append([]string{kernels.Auto}, kernels.Algorithms()...) {
		if algo == kernels.Auto || slices.ContainsFunc(all, func(s graph.Step) bool { return slices.Contains(s.Candidates, algo) }) {
			sub(b, "algo="+algo, func(b *testing.B) { f(b, algo) })
		}
	}
}

// names are those of the benchmarks that a process has met.
type names struct {
	below  map[string][]string // a benchmark's sub-benchmarks, whether they match or not
	leaves []string            // the benchmarks that have none
}

var met = names{below: map[string][]string{}}

func (n *names) add(parent, name string) {
	if !slices.Contains(n.below[parent], name) {
		n.below[parent] = append(n.below[parent], name)
	}
}

func (n *names) leaf(name string) { n.leaves = append(n.leaves, name) }

// check fails when the pattern has matched no benchmark. The error names what there is
// at the level where nothing matched; top lists the names of the highest level.
//
// A pattern with more levels than a benchmark's name does not match it, but testing
// runs the benchmark once, to learn whether it has sub-benchmarks.
func (n *names) check(pattern string, top func() string) error {
	for _, leaf := range n.leaves {
		if levels(pattern) <= 1+strings.Count(leaf, "/") {
			return nil
		}
	}
	if len(n.leaves) > 0 {
		return fmt.Errorf("-bench %q matches no benchmark: nothing is below %s", pattern, n.leaves[0])
	}
	if len(n.below) == 0 {
		return fmt.Errorf("-bench %q matches no benchmark, expected one of %s", pattern, top())
	}
	deepest := slices.MaxFunc(slices.Sorted(maps.Keys(n.below)), func(a, b string) int {
		return cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/"))
	})
	return fmt.Errorf("-bench %q matches no benchmark: below %s there are %s", pattern, deepest, strings.Join(n.below[deepest], " "))
}

// levels returns how many levels of names a pattern has: one more than it has slashes.
// It counts as testing does, which splits a pattern at bars, and each alternative at
// slashes, outside brackets. Of alternatives, that of the fewest levels counts.
func levels(pattern string) int {
	fewest, count, brackets, parentheses := 0, 1, 0, 0
	end := func() {
		if fewest == 0 || count < fewest {
			fewest = count
		}
		count = 1
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case c == '[':
			brackets++
		case c == ']':
			brackets = max(brackets-1, 0) // an unmatched one is legal
		case c == '(' && brackets == 0:
			parentheses++
		case c == ')' && brackets == 0:
			parentheses--
		case c == '/' && brackets+parentheses == 0:
			count++
		case c == '|' && brackets+parentheses == 0:
			end()
		}
	}
	end()
	return fewest
}

// topLevel lists the benchmark functions, as the test binary itself does.
func topLevel() string {
	out, err := exec.Command(os.Args[0], "-test.list=^Benchmark").Output()
	if err != nil {
		return "what -test.list prints"
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

func TestLevels(t *testing.T) {
	for pattern, want := range map[string]int{
		"Net": 1, ".": 1, "Net/net=squeezenet1.0$": 2, "^BenchmarkNet$/^net=(a|b/c)$/^batch=1$": 3,
		"Layer/a/b/c|Peak/x|Net/a/b": 2, `a[/|]b/c\/d`: 2, "": 1, "a]/b": 2,
	} {
		if got := levels(pattern); got != want {
			t.Errorf("%q has %d levels, expected %d", pattern, got, want)
		}
	}
}

// TestNoMatch runs the benchmarks of this binary by patterns that match none of them,
// and by some that do.
func TestNoMatch(t *testing.T) {
	tests := []struct {
		pattern string
		errors  []string // empty where the pattern matches
	}{
		{"Nte", []string{`"Nte" matches no benchmark, expected one of `, "BenchmarkNet BenchmarkCompile "}},
		{"Net/net=squeezenet2", []string{`below BenchmarkNet there are net=squeezenet1.0 `, " net=alexnet "}},
		{"Net/net=alexnet$/batch=1/type=f16", []string{"below BenchmarkNet/net=alexnet/batch=1 there are type=f32 type=int8\n"}},
		{"Peak/op=fma/isa=sse", []string{`below BenchmarkPeak/op=fma there are isa=`, "isa=scalar\n"}},
		{"Peak/op=fma/isa=scalar/more", []string{"nothing is below BenchmarkPeak/op=fma/isa=scalar\n"}},
		{"ForkJoin/more", []string{"nothing is below BenchmarkForkJoin\n"}},
		{"ForkJoin", nil},
		{"Nte|ForkJoin", nil},
		{"Peak/op=fma/isa=scalar", nil},
		{"Peak/op=mac/isa=scalar", nil},
	}
	for _, test := range tests {
		cmd := self(t, test.pattern)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if len(test.errors) == 0 {
			if err != nil || stderr.Len() > 0 || !strings.Contains(string(out), "ns/op") {
				t.Errorf("%s: %v\n%s%s", test.pattern, err, out, &stderr)
			}
			continue
		}
		if cmd.ProcessState.ExitCode() != 1 || strings.Contains(string(out), "ns/op") {
			t.Errorf("%s: %v, expected exit status 1\n%s", test.pattern, err, out)
		}
		for _, want := range test.errors {
			if !strings.Contains(stderr.String(), want) {
				t.Errorf("%s: error %q, expected it to contain %q", test.pattern, &stderr, want)
			}
		}
	}
}
