package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"firebench/kernels"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchproc"
)

// Limits on what is read. They are far above any real run and keep the memory that
// a hostile or broken file can take bounded.
const (
	maxLine     = 16 << 10 // bytes; benchfmt itself gives up at 64 KiB
	maxFile     = 1 << 30  // bytes
	maxResults  = 1 << 18  // lines
	maxName     = 256      // bytes of a benchmark's name
	maxMachines = 16
	maxConfigs  = 1000
	maxWarnings = 20 // printed per file
	maxThreads  = 4096
	maxBatch    = 1 << 16
)

// Values outside these ranges are no measurements.
const (
	minSec, maxSec = 1e-9, 3600
	maxRate        = 1e7 // GFLOP/s, GB/s, %
)

// macsTolerance is how far GFLOP/s and ns/op of one line may be apart. Printing costs them
// four digits; more than this means that another model was timed.
const macsTolerance = 0.02

// identity are the config keys that tell machines apart, configKeys all those that are read.
var (
	identity   = []string{"goos", "goarch", "cpu", "cores"}
	configKeys = []string{"goos", "goarch", "cpu", "cores", "isas", "caches"}
)

// A config is the circumstances of a measurement.
type config struct {
	machine int // index in data.machines
	isa     kernels.ISA
	threads int
	algo    string // empty when the name has none, and in a config that stands for all of them
	batch   int    // images per operation
}

// The algorithms that the tables treat in a way of their own.
const (
	auto   = "auto" // picks one of the others for each layer
	direct = "direct"
)

// with returns c with that algorithm; with "", it stands for all of them.
func (c config) with(algo string) config {
	c.algo = algo
	return c
}

// compare orders configs as the tables list them: the best ISA first. It does not look at
// the algorithms.
func (c config) compare(d config) int {
	return cmp.Or(
		cmp.Compare(c.machine, d.machine),
		cmp.Compare(d.isa, c.isa),
		cmp.Compare(c.threads, d.threads),
		cmp.Compare(c.batch, d.batch),
	)
}

// compareAlgos orders algorithms as the tables list and prefer them: auto is what runs
// unless another is asked for, direct what the others are measured against.
func compareAlgos(a, b string) int {
	rank := func(algo string) int {
		switch algo {
		case auto:
			return 0
		case direct:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
}

// String names c without its machine and algorithm: "avx512, 2 threads".
func (c config) String() string {
	s := c.isa.String() + ", 1 thread"
	if c.threads != 1 {
		s = fmt.Sprintf("%v, %d threads", c.isa, c.threads)
	}
	if c.batch != 1 {
		s += fmt.Sprintf(", batch %d", c.batch)
	}
	return s
}

// hardware is c without what only a network has.
func (c config) hardware() config {
	return config{machine: c.machine, isa: c.isa, threads: c.threads, batch: 1}
}

// The rates that BenchmarkPeak measures, as op= names them.
const (
	fma  = "fma"  // GFLOP/s
	read = "read" // GB/s
)

// A key says what was measured: the seconds per operation of a part, or a rate of the machine.
type key struct {
	part *part
	rate string // when part is nil
	config
}

// A cell holds all samples of one benchmark.
type cell struct {
	name    string // as first met
	doubted bool   // a warning was given
	samples []sample
	ownPeak []float64 // peak-% as the benchmark reported it
	fma     []float64 // and fma-%
	marks   [2]int    // how many samples have 0 pick and 1 pick; layers only
}

// picked reports whether auto picks the algorithm of c. Samples that disagree come from two
// versions of the rule: neither says what is picked now.
func (c *cell) picked() bool { return c.marks[1] > 0 && c.marks[0] == 0 }

type sample struct {
	file  int // index in data.files
	value float64
}

// A machine is one combination of the identity keys.
type machine struct {
	key   benchproc.Key
	first string            // file:line of its first result
	facts map[string]string // by config key
}

// data is what the files hold.
type data struct {
	nets    []*network
	byName  map[string]*network
	mix     bool
	project *benchproc.Projection // onto the identity keys

	files    []string
	infos    []os.FileInfo // of the files that were opened by name
	machines []*machine
	cells    map[key]*cell
	algos    map[key][]string // of the cells of a part, by their key with algorithm ""; in order
	configs  map[config]bool  // of the cells
	results  int              // in the cells
	lines    int              // of results, usable or not
}

func newData(nets []*network, mix bool) *data {
	project, err := new(benchproc.ProjectionParser).Parse(strings.Join(identity, ","), nil)
	if err != nil {
		panic(err) // identity is a constant
	}
	d := &data{
		nets:    nets,
		byName:  make(map[string]*network),
		mix:     mix,
		project: project,
		cells:   make(map[key]*cell),
		algos:   make(map[key][]string),
		configs: make(map[config]bool),
	}
	for _, n := range nets {
		d.byName[n.name] = n
	}
	return d
}

// A mixError says that results of two machines were met.
type mixError struct{ msg string }

func (e *mixError) Error() string { return e.msg }

// readFile adds the results of the named file. It reports on stderr what it cannot use, and
// fails when the file cannot be read to its end or has results of another machine.
func (d *data) readFile(path string, stderr io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		for i, have := range d.infos {
			if os.SameFile(have, info) {
				fmt.Fprintf(stderr, "%s: the same file as %s, read once\n", path, d.files[i])
				return nil
			}
		}
		d.infos = append(d.infos, info)
	}
	return d.read(f, path, stderr)
}

// read is readFile on an open file.
func (d *data) read(r io.Reader, name string, stderr io.Writer) error {
	file := len(d.files)
	d.files = append(d.files, name)
	log := &warnings{w: stderr, file: name}
	defer log.close()
	limited := &io.LimitedReader{R: r, N: maxFile}
	lines := &lineReader{r: bufio.NewReaderSize(limited, maxLine), warn: log.warn}
	before := d.results
	in := benchfmt.NewReader(lines, name)
	for in.Scan() {
		switch rec := in.Result().(type) {
		case *benchfmt.SyntaxError:
			log.warn(rec.Line, rec.Msg)
		case *benchfmt.Result:
			_, line := rec.Pos()
			if d.lines++; d.lines > maxResults {
				log.warn(line, fmt.Sprintf("more than %d results, the rest is ignored", maxResults))
				return nil
			}
			err := d.add(rec, file, func(msg string) { log.warn(line, msg) })
			if mixed := (*mixError)(nil); errors.As(err, &mixed) {
				return err
			}
			if err != nil {
				log.warn(line, err.Error())
			}
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	switch {
	case limited.N == 0:
		log.warn(lines.line, fmt.Sprintf("only the first %d bytes are read", maxFile))
	case lines.line == 0:
		log.warn(0, "the file is empty")
	case d.results == before:
		log.warn(lines.line, "the file ends without a usable result of BenchmarkPeak, Net, Stage or Layer")
	}
	return nil
}

// add files one result away. Results of benchmarks that the tables do not show are passed over.
func (d *data) add(res *benchfmt.Result, file int, warn func(string)) error {
	base, fields := res.Name.Parts()
	var (
		k     key
		value float64
		err   error
	)
	switch string(base) {
	case "Peak":
		k, value, err = rate(res, fields)
	case "Net":
		k, value, err = d.time(res, fields, wholeNet, "")
	case "Stage":
		k, value, err = d.time(res, fields, stagePart, "stage")
	case "Layer":
		k, value, err = d.time(res, fields, layerPart, "layer")
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if len(res.Name) > maxName {
		return fmt.Errorf("a name of %d bytes, expected at most %d", len(res.Name), maxName)
	}
	if res.Iters <= 0 {
		return fmt.Errorf("%d iterations", res.Iters)
	}
	if k.machine, err = d.machine(res); err != nil {
		return err
	}
	if !d.configs[k.config] {
		if len(d.configs) == maxConfigs {
			return fmt.Errorf("more than %d combinations of ISA, threads, batch and algorithm", maxConfigs)
		}
		d.configs[k.config] = true
	}
	c := d.cells[k]
	if c == nil {
		c = &cell{name: res.Name.String()}
		d.cells[k] = c
		if k.part != nil {
			all := key{part: k.part, config: k.with("")}
			i, _ := slices.BinarySearchFunc(d.algos[all], k.algo, compareAlgos)
			d.algos[all] = slices.Insert(d.algos[all], i, k.algo)
		}
	}
	if doubt := c.doubt(res, k, value); doubt != "" && !c.doubted {
		c.doubted = true
		warn(doubt)
	}
	c.samples = append(c.samples, sample{file, value})
	if pct, ok := res.Value("peak-%"); ok && pct > 0 && pct <= maxRate {
		c.ownPeak = append(c.ownPeak, pct)
	}
	if pct, ok := res.Value("fma-%"); ok && pct > 0 && pct <= maxRate {
		c.fma = append(c.fma, pct)
	}
	if mark, ok := pickMark(res, k); ok && (mark == 0 || mark == 1) {
		c.marks[int(mark)]++
	}
	d.results++
	return nil
}

// pickMark returns what a layer's result says about auto: 1 when it picks this algorithm, else 0.
func pickMark(res *benchfmt.Result, k key) (mark float64, ok bool) {
	if k.part == nil || k.part.kind != layerPart {
		return 0, false
	}
	return res.Value("pick")
}

// rate reads a result of BenchmarkPeak.
func rate(res *benchfmt.Result, fields [][]byte) (key, float64, error) {
	c, err := parseConfig(fields)
	if err != nil {
		return key{}, 0, err
	}
	k := key{rate: field(fields, "op"), config: c.hardware()}
	unit, ok := map[string]string{fma: "GFLOP/s", read: "GB/s"}[k.rate]
	if !ok {
		return key{}, 0, fmt.Errorf("op= in the name: %q, expected %s or %s", k.rate, fma, read)
	}
	v, ok := res.Value(unit)
	if !ok {
		return key{}, 0, fmt.Errorf("no %s", unit)
	}
	if !(v > 0 && v <= maxRate) {
		return key{}, 0, fmt.Errorf("%v %s is no measurement, expected up to %v", v, unit, float64(maxRate))
	}
	return k, v, nil
}

// time reads the time of a part, whose name has the key named.
func (d *data) time(res *benchfmt.Result, fields [][]byte, kind kind, named string) (key, float64, error) {
	c, err := parseConfig(fields)
	if err != nil {
		return key{}, 0, err
	}
	net := d.byName[field(fields, "net")]
	if net == nil {
		return key{}, 0, fmt.Errorf("net= in the name: %w", unknownNet(d.nets, field(fields, "net")))
	}
	p := net.whole
	if kind != wholeNet {
		if p = net.find(kind, field(fields, named)); p == nil {
			return key{}, 0, fmt.Errorf("%s= in the name: %s has no %s %q", named, net.name, named, field(fields, named))
		}
	}
	sec, ok := res.Value("sec/op")
	if !ok {
		// benchfmt keeps the unit of values that scaling does not change: 0 and infinity.
		if sec, ok = res.Value("ns/op"); !ok {
			return key{}, 0, errors.New("no ns/op")
		}
	}
	if !(sec >= minSec && sec <= maxSec) {
		return key{}, 0, fmt.Errorf("%v seconds per operation is no measurement, expected %v to %v", sec, minSec, maxSec)
	}
	return key{part: p, config: c}, sec, nil
}

// parseConfig reads what a name says about the config.
func parseConfig(fields [][]byte) (config, error) {
	c := config{threads: 1, batch: 1, algo: field(fields, "algo")}
	var err error
	if c.isa, err = kernels.ParseISA(field(fields, "isa")); err != nil {
		return c, fmt.Errorf("isa= in the name: %w", err)
	}
	if last := fields[len(fields)-1]; last[0] == '-' { // there is a field: isa
		if c.threads, err = count(string(last[1:]), maxThreads); err != nil {
			return c, fmt.Errorf("threads in the name: %w", err)
		}
	}
	if s := field(fields, "batch"); s != "" {
		if c.batch, err = count(s, maxBatch); err != nil {
			return c, fmt.Errorf("batch= in the name: %w", err)
		}
	}
	if !isWord(c.algo) {
		return c, fmt.Errorf("algo= in the name: %q is not a short word", c.algo)
	}
	return c, nil
}

// doubt says why res, with that key and value, may not belong to the other samples of c;
// empty: no doubt.
func (c *cell) doubt(res *benchfmt.Result, k key, value float64) string {
	if string(res.Name) != c.name {
		return fmt.Sprintf("pooled with %q: the names differ only in keys that this command does not know", c.name)
	}
	if mark, ok := pickMark(res, k); ok {
		switch {
		case mark != 0 && mark != 1:
			return fmt.Sprintf("%v pick, expected 0 or 1", mark)
		case c.marks[1-int(mark)] > 0:
			return fmt.Sprintf("%v pick, but other samples have %v: another version of the rule?", mark, 1-mark)
		}
	}
	if k.part == nil || k.part.cost.MACs == 0 {
		return ""
	}
	if have, ok := res.Value("GFLOP/s"); ok {
		want := gflops(k.part.cost.MACs, value/float64(k.batch))
		if !(math.Abs(have/want-1) <= macsTolerance) {
			return fmt.Sprintf("%v GFLOP/s, but the multiply-adds of the model's table give %.4g: "+
				"another version of the model?", have, want)
		}
	}
	return ""
}

// machine returns the index of the machine that res was measured on.
func (d *data) machine(res *benchfmt.Result) (int, error) {
	key := d.project.Project(res)
	i := slices.IndexFunc(d.machines, func(m *machine) bool { return m.key == key })
	if i < 0 {
		file, line := res.Pos()
		m := &machine{key: key, first: fmt.Sprintf("%s:%d", file, line), facts: make(map[string]string)}
		if len(d.machines) > 0 && !d.mix {
			return 0, &mixError{fmt.Sprintf("different machines: %s (-mix shows them side by side)", differences(d.machines[0], m))}
		}
		if len(d.machines) == maxMachines {
			return 0, &mixError{fmt.Sprintf("%s: more than %d different machines", m.first, maxMachines)}
		}
		i = len(d.machines)
		d.machines = append(d.machines, m)
	}
	m := d.machines[i]
	for _, k := range configKeys {
		// FIREBENCH_ISA shortens isas: the longest list is the machine's.
		if pos, ok := res.ConfigIndex(k); ok && len(res.Config[pos].Value) > len(m.facts[k]) {
			m.facts[k] = string(res.Config[pos].Value)
		}
	}
	return i, nil
}

// differences says where two machines were met and in which keys they differ.
func differences(a, b *machine) string {
	var in [2][]string
	for _, f := range benchproc.NonSingularFields([]benchproc.Key{a.key, b.key}) {
		for i, m := range []*machine{a, b} {
			in[i] = append(in[i], fmt.Sprintf("%s %q", f.Name, clean(m.key.Get(f))))
		}
	}
	return fmt.Sprintf("%s has %s, %s has %s", a.first, strings.Join(in[0], ", "), b.first, strings.Join(in[1], ", "))
}

// field returns the value of "/key=value" among the parts of a benchmark name.
func field(parts [][]byte, key string) string {
	for _, p := range parts {
		if k, v, ok := bytes.Cut(p, []byte("=")); ok && string(k[1:]) == key {
			return string(v)
		}
	}
	return ""
}

// count parses a number from 1 to limit.
func count(s string, limit int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > limit {
		return 0, fmt.Errorf("%q, expected a number from 1 to %d", s, limit)
	}
	return n, nil
}

// isWord reports whether s is empty or may be printed in a table: an algorithm's name.
func isWord(s string) bool {
	return len(s) <= 24 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-_+") == ""
}

// clean makes text from a file fit to print on a terminal: one line of printable characters.
func clean(s string) string {
	const limit = 300
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// A lineReader passes on the lines that hold results and known config keys. It puts empty
// lines in place of all others, so that benchfmt counts right: it would stop at an overlong
// line, and keep any key in memory. Each Read returns a part of one line, so that
// warnings come in the order of the file.
type lineReader struct {
	r    *bufio.Reader // its size is the longest line
	warn func(line int, msg string)
	line int
	rest []byte // of the current line
}

func (l *lineReader) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		if err := l.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

var newline = []byte("\n")

// next reads the next line into rest.
func (l *lineReader) next() error {
	line, err := l.r.ReadSlice('\n')
	if len(line) > 0 {
		l.line++
	}
	switch {
	case err == bufio.ErrBufferFull:
		for err == bufio.ErrBufferFull {
			_, err = l.r.ReadSlice('\n')
		}
		l.warn(l.line, fmt.Sprintf("line of more than %d bytes, ignored", l.r.Size()))
		l.rest = newline
		if err == io.EOF {
			err = nil // met again by the next call
		}
	case err == io.EOF && len(line) > 0:
		// Even if it parses, its last number may have lost digits.
		l.warn(l.line, "half-written last line (it has no newline), ignored")
	case err == nil && wanted(line):
		l.rest = line
	case err == nil:
		l.rest = newline
		if failure(line) {
			l.warn(l.line, fmt.Sprintf("the run failed here: %q", bytes.TrimSpace(line)))
		}
	}
	return err
}

// wanted reports whether line is a result or one of the config keys that are read.
func wanted(line []byte) bool {
	if bytes.HasPrefix(line, []byte("Benchmark")) {
		return true
	}
	key, _, ok := bytes.Cut(line, []byte(":"))
	return ok && slices.Contains(configKeys, string(key))
}

// failure reports whether line tells of a benchmark run that failed.
func failure(line []byte) bool {
	for _, prefix := range []string{"--- FAIL", "FAIL", "panic: ", "fatal error: "} {
		if bytes.HasPrefix(line, []byte(prefix)) {
			return true
		}
	}
	return false
}

// warnings prints what is wrong in one file, up to a number of lines.
type warnings struct {
	w    io.Writer
	file string
	n    int
}

func (w *warnings) warn(line int, msg string) {
	if w.n++; w.n <= maxWarnings {
		fmt.Fprintf(w.w, "%s:%d: %s\n", w.file, line, clean(msg))
	}
}

func (w *warnings) close() {
	if w.n > maxWarnings {
		fmt.Fprintf(w.w, "%s: %d more problems\n", w.file, w.n-maxWarnings)
	}
}
