// Package report makes the tables that compare networks from recorded benchmarks and
// writes them as text, Markdown, CSV or JSON.
//
// Each table is one file of this package: its rows, columns, notes and explanations. The
// list named tables registers it. Package samples reads the files.
package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firebench/compare/peers/timings"
	"firebench/compare/samples"
	"firebench/net/files"
)

// tables are all the tables there are, in the order in which they are printed. A table
// registers itself here.
var tables = []tableKind{
	machineTable,
	networksTable,
	stagesTable,
	layersTable,
	typesTable,
	candidatesTable,
	sparseTable,
	trainingTable,
	gradientsTable,
	peersTable,
}

// A tableKind makes a table of a report.
type tableKind struct {
	name string // as Options.Tables and JSON have it
	make func(*builder) *table
}

// Tables returns the names of all tables.
func Tables() []string {
	var names []string
	for _, t := range tables {
		names = append(names, t.name)
	}
	return names
}

// Options say what a report holds.
type Options struct {
	// Nets are the networks that are set side by side, one or two. The default are
	// DefaultNets if both were measured, else the first two that were.
	Nets []string

	// Tables are names out of Tables; the default is all.
	Tables []string

	// Mix allows several machines and commits, each in rows of its own.
	Mix bool

	// Stdin is read where the path is "-"; the default is os.Stdin.
	Stdin io.Reader

	// Log is told, one per line, what is left out of files that can be read. The default
	// is to discard that.
	Log io.Writer
}

// DefaultNets are the networks that are compared unless others are asked for.
var DefaultNets = []string{"squeezenet1.0", "alexnet"}

// Check returns an error if o names tables that do not exist, or networks that cannot be set side by
// side. Whether there are such networks, only the files say.
func (o Options) Check() error {
	if len(o.Nets) > 2 || len(o.Nets) == 2 && o.Nets[0] == o.Nets[1] {
		return fmt.Errorf("networks %q: expected one, or two different ones", strings.Join(o.Nets, ","))
	}
	for _, t := range o.Tables {
		if !slices.Contains(Tables(), t) {
			return fmt.Errorf("unknown table %q, expected some of %s", t, strings.Join(Tables(), ","))
		}
	}
	return nil
}

// A Report holds tables. Several goroutines may write it.
type Report struct {
	// Unreadable has an error for each file that could not be read to its end or held
	// nothing usable. The report holds what could be read.
	Unreadable []error

	runs   []*samples.Run
	tables []*table
	notes  []string // what could not be paired, and what makes the figures doubtful
}

// Read makes a report of benchmark files in the Go benchmark format; the path "-" stands
// for the standard input. All samples of one benchmark are pooled. Files of times of peers, see package
// timings, give a table of their own.
//
// Read fails when o.Check does, when o names networks that neither package models nor the files
// describe, with a [samples.ErrUnknownNetwork], when no file holds anything usable, with an error that has
// a line for each, and, unless o.Mix is set, when the files hold results of different
// machines or commits.
func Read(o Options, paths ...string) (*Report, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	nets, err := samples.Networks()
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("no benchmark file given")
	}
	d := samples.New(nets, o.Mix)
	var peers []*timings.Run
	var peerPaths []string
	var unreadable []error
	for _, path := range paths {
		if path == "-" {
			err = d.Read(o.Stdin, "standard input", o.Log)
		} else {
			err = d.ReadFile(path, o.Log)
			if errors.Is(err, samples.ErrNoResults) {
				if run, bad := timings.ReadFile(path); bad == nil {
					peers, peerPaths, err = append(peers, run), append(peerPaths, path), nil
				}
			}
		}
		if mixed := (*samples.MixError)(nil); errors.As(err, &mixed) {
			return nil, err
		}
		if err != nil {
			unreadable = append(unreadable, err)
		}
	}
	if d.Results == 0 && len(peers) > 0 {
		unreadable = append(unreadable, errors.New("only times of peers, which go run ./compare/peers -print FILE prints"))
	}
	if d.Results == 0 {
		return nil, errors.Join(unreadable...)
	}
	for i, run := range peers {
		for _, other := range d.Runs {
			if err := run.SameMachine(func(key string) string { return other.Facts[key] }); err != nil && !o.Mix {
				return nil, fmt.Errorf("%s: %w", peerPaths[i], err)
			}
		}
	}
	for _, n := range o.Nets {
		if _, err := samples.Lookup(d.Networks, n); err != nil {
			return nil, err
		}
	}
	r := build(d, o, peers...)
	r.Unreadable = unreadable
	return r, nil
}

// build makes the report of d, with options that Read accepts.
func build(d *samples.Data, o Options, peers ...*timings.Run) *Report {
	b := newBuilder(d, o.Nets)
	b.peers = peers
	b.noteDoubts()
	for _, t := range tables {
		if o.Tables == nil || slices.Contains(o.Tables, t.name) {
			made := t.make(b)
			made.name = t.name
			b.Report.tables = append(b.Report.tables, made)
		}
	}
	return b.Report
}

// A builder makes the tables of a report.
type builder struct {
	*samples.Data
	*Report
	pair  []*samples.Network // the networks to set side by side: one or two
	peers []*timings.Run     // what was timed beside other engines
	noted map[string]bool
}

func newBuilder(d *samples.Data, nets []string) *builder {
	b := &builder{Data: d, Report: &Report{runs: d.Runs}, noted: make(map[string]bool)}
	b.pair = b.pick(nets)
	return b
}

// pick returns the networks of these names, by default those that Options describes.
func (b *builder) pick(names []string) []*samples.Network {
	var measured []string
	for _, n := range b.Networks {
		for k := range b.Cells {
			if k.Part != nil && k.Part.Net == n {
				measured = append(measured, n.Name)
				break
			}
		}
	}
	if len(names) == 0 {
		names = DefaultNets
		missing := func(n string) bool { return !slices.Contains(measured, n) }
		if slices.ContainsFunc(names, missing) && len(measured) > 0 {
			names = measured[:min(2, len(measured))]
		}
	}
	var nets []*samples.Network
	for _, name := range names {
		n, _ := samples.Lookup(b.Networks, name) // Read has found it
		nets = append(nets, n)
	}
	return nets
}

// either names the networks side by side: "alexnet or alexnet-owt".
func (b *builder) either() string {
	var names []string
	for _, n := range b.pair {
		names = append(names, n.Name)
	}
	return strings.Join(names, " or ")
}

// letters tell the networks side by side apart where their names would be too long.
var letters = []string{"A", "B"}

// lettered names the networks side by side with their letters, one alone without: "alexnet (A) and alexnet-owt (B)".
func (b *builder) lettered() string {
	if len(b.pair) == 1 {
		return b.pair[0].Name
	}
	var names []string
	for i, n := range b.pair {
		names = append(names, fmt.Sprintf("%s (%s)", n.Name, letters[i]))
	}
	return strings.Join(names, " and ")
}

// note adds a line to the notes unless it is there already: benchmath repeats its warnings for every cell.
func (b *builder) note(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if !b.noted[msg] {
		b.noted[msg] = true
		b.notes = append(b.notes, msg)
	}
}

// WritePages writes the pages of a folder with a recorded run: compare.txt and README.md,
// made from its bench.txt.
func WritePages(dir string, o Options) error {
	pages, err := Pages(dir, o)
	if err != nil {
		return err
	}
	for name, page := range pages {
		if err := files.Write(filepath.Join(dir, name), page); err != nil {
			return err
		}
	}
	return nil
}

// Pages returns the content of the files that WritePages writes, by name.
func Pages(dir string, o Options) (map[string][]byte, error) {
	r, err := Read(o, filepath.Join(dir, "bench.txt"))
	if err != nil {
		return nil, err
	}
	pages := make(map[string][]byte)
	for name, format := range map[string]string{"compare.txt": "text", "README.md": "md"} {
		var page strings.Builder
		if err := r.Write(&page, format); err != nil {
			return nil, err
		}
		pages[name] = []byte(page.String())
	}
	return pages, nil
}
