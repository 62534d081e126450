package samples

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/files"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
	"golang.org/x/perf/benchproc"
)

// Limits on what is read. They are far above any real run and keep the memory that
// a hostile or broken file can take bounded.
const (
	maxLine       = 16 << 10 // bytes; benchfmt itself gives up at 64 KiB
	maxFile       = 1 << 30  // bytes
	maxResults    = 1 << 18  // lines
	maxName       = 256      // bytes of a benchmark's name
	maxCommit     = 64       // bytes
	maxRuns       = 16
	maxRecordings = 100 // of a run that are named
	maxConfigs    = 1000
	maxWarnings   = 20 // printed per file
	maxThreads    = 4096
	maxBatch      = 1 << 16
)

// Values outside these ranges are no measurements.
const (
	minSec, maxSec = 1e-9, 3600
	maxRate        = 1e7 // GFLOP/s, GB/s, %
	maxLoad        = 1e6 // threads
)

// macsTolerance is how far GFLOP/s and ns/op of one line may be apart. Printing costs them
// four digits; more than this means that another model was timed.
const macsTolerance = 0.02

// The rates that BenchmarkPeak measures, as op= names them.
const (
	FMA  = "fma"  // fused multiply-adds of float32 values
	MAC  = "mac"  // multiply-adds of quantized values
	Read = "read" // of memory
)

// rateUnits are the units of the rates.
var rateUnits = map[string]string{FMA: "GFLOP/s", MAC: "GOP/s", Read: "GB/s"}

// These are the units of what is reported of the multiply-adds of a type. They are other ones where
// the operations are, so that benchstat does not set side by side what cannot be compared.
var (
	speedUnits = map[string]string{F32: "GFLOP/s", Int8: "GOP/s"}
	busyUnits  = map[string]string{F32: "fma-%", Int8: "mac-%"}
)

// A Key says what was measured: the seconds per operation of a part, or a rate of the machine.
type Key struct {
	Part *Part
	Rate string // when Part is nil: FMA, MAC or Read
	Config
}

// A Cell holds all samples of one benchmark.
type Cell struct {
	Values  []float64 // seconds per operation, GFLOP/s, GOP/s or GB/s
	OwnPeak []float64 // peak-% as the benchmark reported it
	BusyPct []float64 // and fma-% or mac-%

	name    string // as first met
	doubted bool   // a warning was given
	marks   [2]int // how many samples have 0 pick and 1 pick; layers only
}

// Picked reports whether auto picks the algorithm of c. Samples that disagree come from two
// versions of the rule: neither says what is picked now.
func (c *Cell) Picked() bool { return c.marks[1] > 0 && c.marks[0] == 0 }

// Marked reports whether any sample of c says whether auto picks its algorithm.
func (c *Cell) Marked() bool { return c.marks != [2]int{} }

// Median returns the median of values.
func Median(values []float64) float64 {
	s := benchmath.NewSample(slices.Clone(values), &benchmath.DefaultThresholds)
	return benchmath.AssumeNothing.Summary(s, 0.95).Center
}

// Data is what benchmark files hold.
type Data struct {
	Networks []*Network // those that New was given, and those that the files describe
	Mix      bool       // allow several runs
	Runs     []*Run
	Cells    map[Key]*Cell
	Results  int // in the cells

	project *benchproc.Projection // onto the identity keys
	byName  map[string]*Network
	paths   []string         // of the files that ReadFile has read
	infos   []os.FileInfo    // of the same files
	algos   map[Key][]string // of the cells of a part, by their key with algorithm ""; in order
	configs map[Config]bool  // of the cells
	lines   int              // of results, usable or not

	recorded map[recordingID]*Recording // as first met
	copies   int                        // results of recordings met again

	described map[string]string // the file that has described a network first
	layers    int               // of the networks that files have described
	refused   map[string]error  // why results of a network in the file that is read are left out; nil: they are not
}

// New returns Data without samples of these networks and of those that the files describe, see
// [Description]. Unless mix is set, reading fails at the first result of a second machine or commit.
func New(nets []*Network, mix bool) *Data {
	d := &Data{
		Networks:  slices.Clone(nets),
		Mix:       mix,
		Cells:     make(map[Key]*Cell),
		project:   newProjection(),
		byName:    make(map[string]*Network),
		algos:     make(map[Key][]string),
		configs:   make(map[Config]bool),
		recorded:  make(map[recordingID]*Recording),
		described: make(map[string]string),
	}
	for _, n := range nets {
		d.byName[n.Name] = n
	}
	return d
}

// Algos returns the algorithms that a part was measured with, everything else being as in c,
// in the order of CompareAlgos.
func (d *Data) Algos(p *Part, c Config) []string {
	return d.algos[Key{Part: p, Config: c.With("")}]
}

// ErrNoResults says that a file holds nothing that can be used.
var ErrNoResults = errors.New("no usable result of BenchmarkPeak, Net, Stage, Layer, Sparse or Train")

// ReadFile adds the results of the named file. It reports on log what it cannot use. It
// fails when it is no regular file, when it cannot be read to its end, when nothing in it
// can be used (ErrNoResults), or with a *MixError. Errors name the file.
func (d *Data) ReadFile(path string, log io.Writer) error {
	f, err := files.Open(path, maxFile)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		for i, have := range d.infos {
			if os.SameFile(have, info) {
				fmt.Fprintf(log, "%s: the same file as %s, read once\n", path, d.paths[i])
				return nil
			}
		}
		d.paths, d.infos = append(d.paths, path), append(d.infos, info)
	}
	return d.Read(f, path, log)
}

// Read adds the results that r delivers; name stands for r in messages. Errors and log are
// those of ReadFile.
func (d *Data) Read(r io.Reader, name string, log io.Writer) error {
	w := &warnings{w: log, file: name}
	defer w.close()
	h := &header{Recording: &Recording{File: Clean(name)}}
	limited := &io.LimitedReader{R: r, N: maxFile}
	var desc description
	d.refused = make(map[string]error)
	lines := &lineReader{r: bufio.NewReaderSize(limited, maxLine), warn: w.warn}
	lines.comment = func(text string) (config string) {
		layer, ok := strings.CutPrefix("# "+text, layerComment)
		if !ok {
			return h.comment(text)
		}
		if err := desc.add(layer); err != nil {
			w.warn(lines.line, err.Error())
		}
		return ""
	}
	before := d.Results + d.copies
	in := benchfmt.NewReader(lines, name)
scan:
	for in.Scan() {
		switch rec := in.Result().(type) {
		case *benchfmt.SyntaxError:
			w.warn(rec.Line, rec.Msg)
		case *benchfmt.Result:
			_, line := rec.Pos()
			if d.lines++; d.lines > maxResults {
				w.warn(line, fmt.Sprintf("more than %d results, the rest is ignored", maxResults))
				break scan
			}
			d.describe(&desc, h.File)
			err := d.add(rec, h, func(msg string) { w.warn(line, msg) })
			if mixed := (*MixError)(nil); errors.As(err, &mixed) {
				return err
			}
			if err != nil {
				w.warn(line, err.Error())
			}
		}
	}
	if err := in.Err(); err != nil {
		return err // benchfmt has put the name and the line into it
	}
	if limited.N == 0 {
		w.warn(lines.line, fmt.Sprintf("only the first %d bytes are read", maxFile))
	}
	switch {
	case lines.line == 0:
		return fmt.Errorf("%s: empty: %w", name, ErrNoResults)
	case d.Results+d.copies == before:
		return fmt.Errorf("%s: %w", name, ErrNoResults)
	}
	return nil
}

// add files one result away. Results of other benchmarks than those that can be used are
// passed over.
func (d *Data) add(res *benchfmt.Result, h *header, warn func(string)) error {
	base, parts := res.Name.Parts()
	var (
		k   Key
		v   float64
		err error
	)
	switch string(base) {
	case "Peak":
		k, v, err = rate(res, parts)
	case "Net":
		k, v, err = d.time(res, parts, Net, "")
	case "Stage":
		k, v, err = d.time(res, parts, Stage, "stage")
	case "Layer":
		if k, v, err = d.time(res, parts, Layer, "layer"); err == nil && value(parts, "pass") != "" {
			k.Pass, err = parsePass(parts, Layer)
		}
	case "Train":
		if k, v, err = d.time(res, parts, Net, ""); err == nil {
			k.Pass, err = parsePass(parts, Net)
		}
	case "Sparse":
		k, v, err = d.sparseTime(res, parts)
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
	if k.Run, err = d.run(res); err != nil {
		return err
	}
	if first := d.original(k.Run, h.Recording); first != h.Recording {
		if d.copies++; !h.copy {
			h.copy = true
			warn(fmt.Sprintf("the same recording as in %s, read once", first.File))
		}
		return nil
	}
	if !d.configs[k.Config] {
		if len(d.configs) == maxConfigs {
			return fmt.Errorf("more than %d combinations of ISA, threads, batch, type, algorithm, zeros and pass", maxConfigs)
		}
		d.configs[k.Config] = true
	}
	c := d.Cells[k]
	if c == nil {
		c = &Cell{name: res.Name.String()}
		d.Cells[k] = c
		if k.Part != nil {
			all := Key{Part: k.Part, Config: k.With("")}
			i, _ := slices.BinarySearchFunc(d.algos[all], k.Algo, CompareAlgos)
			d.algos[all] = slices.Insert(d.algos[all], i, k.Algo)
		}
	}
	if doubt := c.doubt(res, k, v); doubt != "" && !c.doubted {
		c.doubted = true
		warn(doubt)
	}
	c.Values = append(c.Values, v)
	if pct, ok := res.Value("peak-%"); ok && pct > 0 && pct <= maxRate {
		c.OwnPeak = append(c.OwnPeak, pct)
	}
	if pct, ok := res.Value(busyUnits[k.Type]); ok && pct > 0 && pct <= maxRate {
		c.BusyPct = append(c.BusyPct, pct)
	}
	if mark, ok := pickMark(res, k); ok && (mark == 0 || mark == 1) {
		c.marks[int(mark)]++
	}
	h.addTo(d.Runs[k.Run])
	d.Results++
	return nil
}

// pickMark returns what a layer's result says about auto: 1 when it picks this algorithm, else 0.
func pickMark(res *benchfmt.Result, k Key) (mark float64, ok bool) {
	if k.Part == nil || k.Part.Kind != Layer {
		return 0, false
	}
	return res.Value("pick")
}

// rate reads a result of BenchmarkPeak.
func rate(res *benchfmt.Result, parts [][]byte) (Key, float64, error) {
	c, err := parseConfig(parts)
	if err != nil {
		return Key{}, 0, err
	}
	k := Key{Rate: value(parts, "op"), Config: c.machine()}
	unit, ok := rateUnits[k.Rate]
	if !ok {
		return Key{}, 0, fmt.Errorf("op= in the name: %q, expected %s, %s or %s", k.Rate, FMA, MAC, Read)
	}
	v, ok := res.Value(unit)
	if !ok {
		return Key{}, 0, fmt.Errorf("no %s", unit)
	}
	if !(v > 0 && v <= maxRate) {
		return Key{}, 0, fmt.Errorf("%v %s is no measurement, expected up to %v", v, unit, float64(maxRate))
	}
	return k, v, nil
}

// time reads the time of a part, which the name gives as "key=value"; a network as a whole
// has no key.
func (d *Data) time(res *benchfmt.Result, parts [][]byte, kind Kind, key string) (Key, float64, error) {
	c, err := parseConfig(parts)
	if err != nil {
		return Key{}, 0, err
	}
	name := value(parts, "net")
	if err := d.refused[name]; err != nil {
		return Key{}, 0, fmt.Errorf("net= in the name: %s: %w", name, err)
	}
	net := d.byName[name]
	if net == nil {
		_, err := Lookup(d.Networks, name)
		return Key{}, 0, fmt.Errorf("net= in the name: %w", err)
	}
	p := net.Whole
	if kind != Net {
		if p = net.Find(kind, value(parts, key)); p == nil {
			return Key{}, 0, fmt.Errorf("%s= in the name: %s has no %s %q", key, net.Name, key, value(parts, key))
		}
	}
	sec, ok := res.Value("sec/op")
	if !ok {
		// benchfmt keeps the unit of values that scaling does not change: 0 and infinity.
		if sec, ok = res.Value("ns/op"); !ok {
			return Key{}, 0, errors.New("no ns/op")
		}
	}
	if !(sec >= minSec && sec <= maxSec) {
		return Key{}, 0, fmt.Errorf("%v seconds per operation is no measurement, expected %v to %v", sec, minSec, maxSec)
	}
	return Key{Part: p, Config: c}, sec, nil
}

// sparseTime reads the time of a layer with weights of zero. Only of algorithms that this version has is it
// known whether they profit from them.
func (d *Data) sparseTime(res *benchfmt.Result, parts [][]byte) (Key, float64, error) {
	k, v, err := d.time(res, parts, Layer, "layer")
	if err != nil {
		return Key{}, 0, err
	}
	if !slices.Contains(kernels.Algorithms(), k.Algo) {
		return Key{}, 0, fmt.Errorf("algo= in the name: %q, expected one of %s", k.Algo, strings.Join(kernels.Algorithms(), ", "))
	}
	k.Zeros, err = parseZeros(parts)
	return k, v, err
}

// doubt says why res, with that key and value, may not belong to the other samples of c;
// empty: no doubt.
func (c *Cell) doubt(res *benchfmt.Result, k Key, v float64) string {
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
	if k.Part == nil || k.Part.Cost.MACs == 0 || k.Part.Kind == Net && k.Pass != "" {
		return "" // a step has other multiply-adds than the network
	}
	unit := speedUnits[k.Type]
	if have, ok := res.Value(unit); ok {
		want := GOPS(k.Part.Cost.MACs, v/float64(k.Batch))
		if !(math.Abs(have/want-1) <= macsTolerance) {
			return fmt.Sprintf("%v %s, but the multiply-adds of the model's table give %.4g: "+
				"another version of the model?", have, unit, want)
		}
	}
	return ""
}

// GOPS returns the speed of macs multiply-adds in sec seconds, in 10⁹ operations a second: a
// multiplication and an addition each.
func GOPS(macs int64, sec float64) float64 { return 2 * float64(macs) / sec / 1e9 }
