// Package timings has what the command peers measures: how long networks take with Firebench and with
// other engines, its peers. It writes and reads the benchmark files with these times, and makes their
// tables.
package timings

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/perf/benchfmt"

	"firebench/bench/machine"
	"firebench/compare/samples"
	"firebench/net/files"
)

// Firebench is the implementation that all others are compared with.
const Firebench = "firebench"

// Train is the type of a step of training on a batch of TrainBatch images, which computes with float32.
const (
	Train      = "train"
	TrainBatch = 32
)

// A Row says what is computed: a network with values of a type, on so many threads.
type Row struct {
	Net, Type string
	Threads   int
}

// String returns "squeezenet1.0, int8, 2 threads".
func (r Row) String() string {
	return fmt.Sprintf("%s, %s, %s", r.Net, r.Type, samples.Plural(r.Threads, "thread"))
}

// A Sample is the median latency of some calls that followed each other, in nanoseconds.
type Sample struct {
	Calls int
	NS    float64
}

// An Engine is an implementation as it was measured. One that has other settings for other rows is
// there several times.
type Engine struct{ Impl, Version, Settings string }

// A Skip says why an implementation was not measured. Without a network, it is so for all rows.
type Skip struct {
	Row
	Impl, Reason string
}

// A LayerTime is what an implementation says of one of its layers, by its own name.
type LayerTime struct {
	Impl, Layer, Op string
	Sample
}

// A Run is what was measured by one call of the command.
type Run struct {
	Recorded, Commit, Command string         // as the header of a record has them
	Facts                     []machine.Fact // about the machine
	Engines                   []Engine
	Skips                     []Skip
	Notes                     []string // what else there is to know, a line each

	Rows    []Row    // in the order of the tables
	Impls   []string // the same
	Samples map[Row]map[string][]Sample
	Layers  map[Row][]LayerTime
}

// Add adds the samples of an implementation, in the order of the rounds: those of one round have
// been taken side by side.
func (r *Run) Add(row Row, impl string, s ...Sample) {
	if r.Samples == nil {
		r.Samples = map[Row]map[string][]Sample{}
	}
	r.know(row, impl)
	if r.Samples[row] == nil {
		r.Samples[row] = map[string][]Sample{}
	}
	r.Samples[row][impl] = append(r.Samples[row][impl], s...)
}

// AddLayer adds the time of a layer.
func (r *Run) AddLayer(row Row, l LayerTime) {
	if r.Layers == nil {
		r.Layers = map[Row][]LayerTime{}
	}
	r.know(row, l.Impl)
	r.Layers[row] = append(r.Layers[row], l)
}

func (r *Run) know(row Row, impl string) {
	if !slices.Contains(r.Rows, row) {
		r.Rows = append(r.Rows, row)
	}
	if !slices.Contains(r.Impls, impl) {
		r.Impls = append(r.Impls, impl)
	}
}

// AddEngine adds an engine unless it is there.
func (r *Run) AddEngine(e Engine) {
	if !slices.Contains(r.Engines, e) {
		r.Engines = append(r.Engines, e)
	}
}

// What the lines begin with. Comments have what would split benchstat's tables.
const (
	recordedPrefix = "# recorded "
	commandPrefix  = "# command: "
	enginePrefix   = "# engine "
	skippedPrefix  = "# skipped "
	notePrefix     = "# note "

	peerBench  = "Peer"
	layerBench = "PeerLayer"
)

// Write writes the run in the Go benchmark format. A round has a line for each implementation.
func (r *Run) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	line := func(format string, args ...any) {
		b.WriteString(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ") + "\n")
	}
	line("%s%s, commit %s", recordedPrefix, r.Recorded, r.Commit)
	line("%s%s", commandPrefix, r.Command)
	for _, e := range r.Engines {
		line("%s%s %s: %s", enginePrefix, e.Impl, e.Version, e.Settings)
	}
	for _, s := range r.Skips {
		line("%s%s: %s", skippedPrefix, s.name(s.Impl), s.Reason)
	}
	for _, n := range r.Notes {
		line("%s%s", notePrefix, n)
	}
	for _, f := range r.Facts {
		line("%s: %s", f.Key, f.Value)
	}
	for _, row := range r.Rows {
		for round := range r.rounds(row) {
			for _, impl := range r.Impls {
				if s := r.Samples[row][impl]; round < len(s) {
					line("Benchmark%s/%s\t%d\t%s ns/op", peerBench, row.name(impl), s[round].Calls, digits(s[round].NS))
				}
			}
		}
		for _, l := range r.Layers[row] {
			name := fmt.Sprintf("net=%s/layer=%s/op=%s/type=%s/impl=%s", row.Net, word(l.Layer), word(l.Op), row.Type, l.Impl)
			line("Benchmark%s/%s\t%d\t%s ns/op", layerBench, name+suffix(row.Threads), l.Calls, digits(l.NS))
		}
	}
	return b.Flush()
}

// rounds returns the number of rounds of a row.
func (r *Run) rounds(row Row) int {
	n := 0
	for _, s := range r.Samples[row] {
		n = max(n, len(s))
	}
	return n
}

// name is that of the row's benchmarks, and of a skip.
func (r Row) name(impl string) string {
	if r == (Row{}) {
		return "impl=" + impl
	}
	return fmt.Sprintf("net=%s/type=%s/impl=%s%s", r.Net, r.Type, impl, suffix(r.Threads))
}

// suffix is how benchmarks name GOMAXPROCS.
func suffix(threads int) string {
	if threads == 1 {
		return ""
	}
	return fmt.Sprintf("-%d", threads)
}

// word makes a name that an engine gives a layer fit for the name of a benchmark.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '/' {
			return ':'
		}
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "_"
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 && strings.Trim(s[i+1:], "0123456789") == "" {
		s = s[:i] + "_" + s[i+1:] // a number of threads otherwise
	}
	return s
}

// digits prints a time with the six digits that a median of timings may have.
func digits(ns float64) string {
	if ns >= 1e5 {
		return strconv.FormatFloat(ns, 'f', 0, 64)
	}
	return strconv.FormatFloat(ns, 'g', 6, 64)
}

// The limits of what is read.
const (
	maxFile    = 16 << 20 // bytes
	maxSamples = 1 << 18
	maxThreads = 4096
	maxSec     = 3600
)

// ErrNoResults says that a file has no times of peers.
var ErrNoResults = errors.New("no usable result of BenchmarkPeer")

// ReadFile reads what Write has written to the file at path. Errors name the file.
func ReadFile(path string) (*Run, error) {
	data, err := files.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	return parse(data, path)
}

// parse reads a run; errors name the line.
func parse(data []byte, name string) (*Run, error) {
	r := &Run{}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if err := r.comment(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, number, err)
		}
	}
	in := benchfmt.NewReader(bytes.NewReader(data), name)
	read := 0
	for in.Scan() {
		switch rec := in.Result().(type) {
		case *benchfmt.SyntaxError:
			return nil, rec
		case *benchfmt.Result:
			ok, err := r.result(rec)
			if err == nil && ok {
				if read++; read > maxSamples {
					err = fmt.Errorf("more than %d results", maxSamples)
				}
			}
			if err != nil {
				_, line := rec.Pos()
				return nil, fmt.Errorf("%s:%d: %w", name, line, err)
			}
			if read == 1 {
				r.facts(rec)
			}
		}
	}
	if err := in.Err(); err != nil {
		return nil, err
	}
	if len(r.Samples) == 0 {
		return nil, fmt.Errorf("%s: %w", name, ErrNoResults)
	}
	return r, nil
}

// comment reads a line that is not a result.
func (r *Run) comment(line string) error {
	if rest, ok := strings.CutPrefix(line, recordedPrefix); ok {
		r.Recorded, r.Commit, _ = strings.Cut(samples.Clean(rest), ", commit ")
	} else if rest, ok := strings.CutPrefix(line, commandPrefix); ok {
		r.Command = samples.Clean(rest)
	} else if rest, ok := strings.CutPrefix(line, enginePrefix); ok {
		what, settings, _ := strings.Cut(samples.Clean(rest), ": ")
		impl, version, _ := strings.Cut(what, " ")
		r.AddEngine(Engine{impl, version, settings})
	} else if rest, ok := strings.CutPrefix(line, skippedPrefix); ok {
		what, reason, _ := strings.Cut(samples.Clean(rest), ": ")
		s := Skip{Reason: reason}
		if impl, ok := strings.CutPrefix(what, "impl="); ok {
			s.Impl = impl
		} else {
			var err error
			if s.Row, s.Impl, err = parseName(strings.Split(what, "/")); err != nil {
				return err
			}
		}
		r.Skips = append(r.Skips, s)
	} else if rest, ok := strings.CutPrefix(line, notePrefix); ok {
		r.Notes = append(r.Notes, samples.Clean(rest))
	}
	return nil
}

// parseName reads the row and the implementation from parts of a name such as "net=a", "impl=b-2".
func parseName(parts []string) (row Row, impl string, err error) {
	row.Threads = 1
	for _, part := range parts {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "net":
			row.Net = value
		case "type":
			row.Type = value
		case "impl":
			impl = value
			if i := strings.LastIndexByte(value, '-'); i >= 0 && strings.Trim(value[i+1:], "0123456789") == "" {
				impl = value[:i]
				if row.Threads, err = strconv.Atoi(value[i+1:]); err != nil || row.Threads < 1 || row.Threads > maxThreads {
					return Row{}, "", fmt.Errorf("%q threads in the name, expected a number from 1 to %d", value[i+1:], maxThreads)
				}
			}
		}
	}
	for _, v := range []string{row.Net, row.Type, impl} {
		if v == "" || samples.Clean(v) != v {
			return Row{}, "", errors.New("expected net=, type= and impl= in the name, each a short word")
		}
	}
	return row, impl, nil
}

// result adds a result; ok is false if it is of another benchmark.
func (r *Run) result(res *benchfmt.Result) (ok bool, err error) {
	base, _ := res.Name.Parts()
	if string(base) != peerBench && string(base) != layerBench {
		return false, nil
	}
	parts := strings.Split(string(res.Name), "/")
	row, impl, err := parseName(parts)
	if err != nil {
		return false, err
	}
	sec, ok := res.Value("sec/op")
	if !ok || !(sec > 0 && sec <= maxSec) || res.Iters < 1 {
		return false, fmt.Errorf("%d calls of %v seconds are no measurement", res.Iters, sec)
	}
	s := Sample{res.Iters, math.Round(sec*1e12) / 1e3} // as it was written, which was in ns
	if string(base) == peerBench {
		r.Add(row, impl, s)
		return true, nil
	}
	l := LayerTime{Impl: impl, Sample: s}
	for _, part := range parts {
		if v, ok := strings.CutPrefix(part, "layer="); ok {
			l.Layer = samples.Clean(v)
		} else if v, ok := strings.CutPrefix(part, "op="); ok {
			l.Op = samples.Clean(v)
		}
	}
	r.AddLayer(row, l)
	return true, nil
}

// facts reads what the file says about the machine.
func (r *Run) facts(res *benchfmt.Result) {
	for _, c := range res.Config {
		if c.File && slices.Contains(samples.FactKeys, c.Key) {
			r.Facts = append(r.Facts, machine.Fact{Key: c.Key, Value: samples.Clean(string(c.Value))})
		}
	}
}

// Fact returns what the run says about the machine under a key, "" if nothing.
func (r *Run) Fact(key string) string {
	for _, f := range r.Facts {
		if f.Key == key {
			return f.Value
		}
	}
	return ""
}

// SameMachine returns an error if the run is from another machine than that of which fact returns what
// is known under a key, as far as both tell.
func (r *Run) SameMachine(fact func(key string) string) error {
	for _, key := range []string{"cpu-id", "cores"} {
		if got, want := r.Fact(key), fact(key); got != want && got != "" && want != "" {
			return fmt.Errorf("times of peers on another machine: its %s is %q, that of the other results %q", key, got, want)
		}
	}
	return nil
}

// A Ratio is how many times as long as Firebench a peer takes: the median of the ratios within the
// rounds, with its 95 % interval. Without enough rounds for one, it is from 0 to infinity.
type Ratio struct{ Median, Lo, Hi float64 }

// MS returns the median time of an implementation in milliseconds.
func (r *Run) MS(row Row, impl string) (ms float64, ok bool) {
	s := r.Samples[row][impl]
	if len(s) == 0 {
		return 0, false
	}
	values := make([]float64, len(s))
	for i := range s {
		values[i] = s[i].NS / 1e6
	}
	return summary(values).Median, true
}

// Ratio returns how much longer a peer takes than Firebench.
func (r *Run) Ratio(row Row, impl string) (ratio Ratio, ok bool) {
	ours, theirs := r.Samples[row][Firebench], r.Samples[row][impl]
	ratios := make([]float64, min(len(ours), len(theirs)))
	if len(ratios) == 0 {
		return Ratio{}, false
	}
	for i := range ratios {
		ratios[i] = theirs[i].NS / ours[i].NS
	}
	return summary(ratios), true
}

// Best returns the fastest peer of a row.
func (r *Run) Best(row Row) (impl string, ok bool) {
	least := math.Inf(1)
	for _, peer := range r.Impls {
		if ratio, found := r.Ratio(row, peer); found && peer != Firebench && cmp.Less(ratio.Median, least) {
			impl, ok, least = peer, true, ratio.Median
		}
	}
	return impl, ok
}
