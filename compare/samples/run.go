package samples

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"
)

// A Run is everything that was measured on one machine with one commit of the code. It may
// have been recorded several times.
type Run struct {
	Facts      map[string]string // about the machine, by FactKeys; fit to print
	Commit     string            // empty when it is not known
	Recordings []*Recording
	Load       Load   // the highest
	Others     Others // the most

	key   benchproc.Key
	first string // file:line of its first result
}

// A Recording is what one file says about how its samples came about. Time and Command are
// empty where it says nothing.
type Recording struct {
	File    string
	Time    string // RFC 3339
	Command string
}

// A Load is how many threads wanted to run at the start of a sample, on an average
// over a minute.
type Load struct {
	Threads float64
	Sample  string // its number
}

// Others is how many cores processes other than the benchmarks took during a sample, on an
// average over the sample.
type Others struct {
	Cores  float64
	Sample string // its number
}

// A recordingID tells the recordings of a run apart: nobody starts one command twice in a
// second.
type recordingID struct {
	run           int
	time, command string
}

// original returns the recording that r is a copy of, in another file or the same; r itself
// if it is none. What has no time may be anything, and is no copy.
func (d *Data) original(run int, r *Recording) *Recording {
	if r.Time == "" {
		return r
	}
	id := recordingID{run, r.Time, r.Command}
	if d.recorded[id] == nil {
		d.recorded[id] = r
	}
	return d.recorded[id]
}

// FactKeys are the config keys that are read: facts about the machine.
var FactKeys = []string{"goos", "goarch", "cpu", "cpu-id", "cores", "isas", "caches"}

// commitKey is the config key that stands for the commit while a file is read. It is a
// comment in the files, because every config key splits the tables of benchstat.
const commitKey = "commit"

// identity are the keys that tell runs apart. isas do, too, but not by being equal.
var identity = []string{"goos", "goarch", "cpu", "cpu-id", "cores", "caches", commitKey}

func newProjection() *benchproc.Projection {
	var keys []string
	for _, k := range identity {
		keys = append(keys, strconv.Quote(k))
	}
	p, err := new(benchproc.ProjectionParser).Parse(strings.Join(keys, ","), nil)
	if err != nil {
		panic(err) // identity is a constant
	}
	return p
}

// A MixError says that results of two machines or of two commits were met.
type MixError struct{ msg string }

func (e *MixError) Error() string { return e.msg }

// run returns the index of the run that res belongs to.
func (d *Data) run(res *benchfmt.Result) (int, error) {
	key := d.project.Project(res)
	isas := config(res, "isas")
	i := slices.IndexFunc(d.Runs, func(r *Run) bool { return r.key == key && sameISAs(r.Facts["isas"], isas) })
	if i < 0 {
		file, line := res.Pos()
		r := &Run{key: key, first: fmt.Sprintf("%s:%d", file, line), Facts: make(map[string]string), Commit: config(res, commitKey)}
		r.addFacts(res)
		if len(d.Runs) > 0 && !d.Mix {
			return 0, mixed(d.Runs[0], r)
		}
		if len(d.Runs) == maxRuns {
			return 0, &MixError{fmt.Sprintf("%s: more than %d different machines and commits", r.first, maxRuns)}
		}
		i = len(d.Runs)
		d.Runs = append(d.Runs, r)
	}
	d.Runs[i].addFacts(res)
	return i, nil
}

// sameISAs reports whether one list of instruction sets begins with the other:
// FIREBENCH_ISA shortens the list of a machine.
func sameISAs(a, b string) bool {
	return strings.HasPrefix(a+" ", b+" ") || strings.HasPrefix(b+" ", a+" ") || a == "" || b == ""
}

// config returns the value of a config key, fit to print.
func config(res *benchfmt.Result, key string) string {
	if pos, ok := res.ConfigIndex(key); ok {
		return Clean(string(res.Config[pos].Value))
	}
	return ""
}

// addFacts adds what res says about the machine.
func (r *Run) addFacts(res *benchfmt.Result) {
	for _, k := range FactKeys {
		// Of isas, the longest list is the machine's.
		if pos, ok := res.ConfigIndex(k); ok && len(res.Config[pos].Value) > len(r.Facts[k]) {
			r.Facts[k] = config(res, k)
		}
	}
}

// mixed says in what two runs differ, where they were met and what can be done.
func mixed(a, b *Run) error {
	var in [2][]string
	add := func(name, x, y string) {
		in[0] = append(in[0], fmt.Sprintf("%s %q", name, Clean(x)))
		in[1] = append(in[1], fmt.Sprintf("%s %q", name, Clean(y)))
	}
	for _, f := range benchproc.NonSingularFields([]benchproc.Key{a.key, b.key}) {
		if f.Name != commitKey {
			add(f.Name, a.key.Get(f), b.key.Get(f))
		}
	}
	if !sameISAs(a.Facts["isas"], b.Facts["isas"]) {
		add("isas", a.Facts["isas"], b.Facts["isas"])
	}
	what, advice := "machines", "-mix shows them side by side"
	if len(in[0]) == 0 {
		what, advice = "commits", "go tool benchstat compares two versions of the code, -mix shows them side by side"
		add(commitKey, a.Commit, b.Commit)
	}
	return &MixError{fmt.Sprintf("different %s: %s has %s, %s has %s (%s)",
		what, a.first, strings.Join(in[0], ", "), b.first, strings.Join(in[1], ", "), advice)}
}

// A header collects the comments of one file, which command bench/run writes:
//
//	# recorded TIME, commit COMMIT
//	# command: COMMAND
//	# sample N, load AVERAGE AVERAGE AVERAGE
//	# after sample N, load AVERAGE AVERAGE AVERAGE, other processes took CORES of CORES cores
type header struct {
	*Recording
	load Load
	run  *Run // of the last result; nil before the first of the recording and in a copy
	copy bool // the recording has been read before
}

// comment reads a comment. For the commit it returns a config line, which tells the
// results that follow from those of other commits.
func (h *header) comment(text string) (config string) {
	if rest, ok := strings.CutPrefix(text, "recorded "); ok {
		at, commit, ok := strings.Cut(rest, ", commit ")
		if _, err := time.Parse(time.RFC3339, at); err == nil && ok && commit != "" && len(commit) <= maxCommit {
			*h = header{Recording: &Recording{File: h.File, Time: at}}
			return commitKey + ": " + commit
		}
	} else if command, ok := strings.CutPrefix(text, "command: "); ok {
		h.Command = Clean(command)
	} else if rest, ok := strings.CutPrefix(text, "sample "); ok {
		number, rest, _ := strings.Cut(rest, ", load ")
		average, _, _ := strings.Cut(rest, " ")
		if v, err := strconv.ParseFloat(average, 64); err == nil && v >= 0 && v <= maxLoad {
			h.load = Load{Threads: v, Sample: Clean(number)}
		}
	} else if rest, ok := strings.CutPrefix(text, "after sample "); ok && h.run != nil {
		number, rest, _ := strings.Cut(rest, ", ")
		_, rest, _ = strings.Cut(rest, "other processes took ")
		cores, _, _ := strings.Cut(rest, " ")
		if v, err := strconv.ParseFloat(cores, 64); err == nil && v > h.run.Others.Cores && v <= maxThreads {
			h.run.Others = Others{Cores: v, Sample: Clean(number)}
		}
	}
	return ""
}

// addTo tells the run of a result what the comments before the result say.
func (h *header) addTo(r *Run) {
	h.run = r
	if h.load.Threads > r.Load.Threads {
		r.Load = h.load
	}
	if n := len(r.Recordings); n < maxRecordings && (n == 0 || r.Recordings[n-1] != h.Recording) {
		r.Recordings = append(r.Recordings, h.Recording)
	}
}
