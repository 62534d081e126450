// Package machine tells what benchmark records say about the machine: which one it is,
// and how busy it is.
package machine

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/cpuid/v2"

	"firebench/kernels"
)

// ID returns family, model and stepping of the processor as "25/17/1", "unknown" where
// it does not tell. Cloud providers give different processors one brand string; these
// numbers tell them apart.
func ID() string {
	return id(&cpuid.CPU, "/", "unknown")
}

// Name returns the machine's folder in results: the processor's brand, family, model,
// stepping, and the number of cores, as in "amd-epyc-25.17.1-2cores". The brand is the
// architecture's name where the processor does not tell it.
func Name() string { return name(&cpuid.CPU, runtime.GOARCH, runtime.NumCPU()) }

func id(c *cpuid.CPUInfo, separator, unknown string) string {
	if c.Family == 0 && c.Model == 0 && c.Stepping == 0 {
		return unknown
	}
	return fmt.Sprintf("%d%s%d%s%d", c.Family, separator, c.Model, separator, c.Stepping)
}

func name(c *cpuid.CPUInfo, arch string, cores int) string {
	brand := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '.':
			return r
		}
		return ' '
	}, strings.ToLower(strings.NewReplacer("(R)", "", "(TM)", "").Replace(c.BrandName)))
	words := strings.Fields(brand)
	if len(words) == 0 {
		words = []string{arch}
	}
	if id := id(c, ".", ""); id != "" {
		words = append(words, id)
	}
	return fmt.Sprintf("%s-%dcores", strings.Join(words, "-"), cores)
}

// A Fact is a line "key: value" of benchmark files. Facts never change on one machine: every key
// splits benchstat's tables.
type Fact struct{ Key, Value string }

// Facts returns what package testing does not say of the machine: the usable instruction sets, cores,
// the processor's ID and caches. It fails if FIREBENCH_ISA is wrong.
func Facts() ([]Fact, error) {
	isas, err := kernels.Supported()
	if err != nil {
		return nil, err
	}
	c := cpuid.CPU.Cache
	return []Fact{
		{"isas", strings.Trim(fmt.Sprint(isas), "[]")},
		{"cores", strconv.Itoa(runtime.NumCPU())},
		{"cpu-id", ID()},
		{"caches", fmt.Sprintf("l1d=%s l2=%s l3=%s", size(c.L1D), size(c.L2), size(c.L3))},
	}, nil
}

// TestingFacts returns what package testing says of the machine.
func TestingFacts() []Fact {
	facts := []Fact{{"goos", runtime.GOOS}, {"goarch", runtime.GOARCH}}
	if cpu := strings.TrimSpace(cpuid.CPU.BrandName); cpu != "" {
		facts = append(facts, Fact{"cpu", cpu})
	}
	return facts
}

// size formats a number of bytes; cpuid reports -1 for what it cannot tell.
func size(n int) string {
	switch {
	case n <= 0:
		return "unknown"
	case n%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", n>>20)
	default:
		return fmt.Sprintf("%dKiB", n>>10)
	}
}

// A Load is the average number of processes that ran or wanted to run, over the last
// one, five and fifteen minutes.
type Load [3]float64

// String returns the averages separated by spaces.
func (l Load) String() string { return fmt.Sprintf("%.2f %.2f %.2f", l[0], l[1], l[2]) }

// CurrentLoad returns the load averages; ok is false where the system has none to read,
// which is anywhere but on Linux.
func CurrentLoad() (l Load, ok bool) {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return Load{}, false
	}
	return parseLoad(string(b))
}

// parseLoad reads "0.72 0.68 0.59 1/89 15939".
func parseLoad(s string) (l Load, ok bool) {
	fields := strings.Fields(s)
	if len(fields) < len(l) {
		return Load{}, false
	}
	for i := range l {
		var err error
		if l[i], err = strconv.ParseFloat(fields[i], 64); err != nil {
			return Load{}, false
		}
	}
	return l, true
}

// Busy returns the time that all cores together have worked since the machine started,
// for whichever process; on a virtual machine this includes the time in which the host
// ran something else in its place. ok is false where the system does not tell, which is
// anywhere but on Linux.
func Busy() (d time.Duration, ok bool) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, false
	}
	return parseStat(string(b))
}

// parseStat reads the first line of /proc/stat: user, nice, system, idle, iowait, irq,
// softirq and steal, in hundredths of a second. Guests are part of user and nice.
func parseStat(s string) (d time.Duration, ok bool) {
	line, _, _ := strings.Cut(s, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, false
	}
	for i, f := range fields[1:9] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, false
		}
		if i != 3 && i != 4 { // idle; iowait, which is idle as well
			d += time.Duration(n) * (time.Second / 100)
		}
	}
	return d, true
}
