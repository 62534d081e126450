// Command readme writes what the project's pages quote from elsewhere: the figures of
// README.md and its picture from recorded runs, its lines of code from their files, and
// the pages of every recorded run from its samples.
//
//	go run ./compare/readme          with the runs that README.md names
//	go run ./compare/readme RUN...   with other runs, which README.md names from then on
//
// A RUN is a folder below results/. Several are pooled, for example one that was recorded
// with all instruction sets and one with fewer; they must be of one machine and commit. One
// RUN may be of go run ./compare/peers, on that machine.
//
// README.md names its runs in a line <!-- runs: RUN... -->, and that of the peers in a line
// <!-- peers: RUN -->, which may name none. What stands between a line
// <!-- generated: NAME --> and the next line <!-- end --> is replaced; everything else in
// README.md is written by hand. A test fails when README.md is not what this command
// would write.
//
// Run it in the module's root.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"firebench/compare/peers/timings"
	"firebench/compare/report"
	"firebench/net/files"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stderr))
}

// run is main with its surroundings as arguments; it returns the exit status.
func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("readme", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, "usage: readme [RUN...]") }
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	pages, err := generate(".", flags.Args())
	if err != nil {
		fmt.Fprintf(stderr, "readme: %v\n", err)
		return 1
	}
	for _, path := range slices.Sorted(maps.Keys(pages)) {
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, pages[path]) {
			continue
		}
		if err := files.Write(path, pages[path]); err != nil {
			fmt.Fprintf(stderr, "readme: %v\n", err)
			return 1
		}
		fmt.Fprintln(stderr, "wrote", path)
	}
	return 0
}

// limit is the size in bytes of the files that are quoted.
const limit = 1 << 24

// peersFile is what a run of go run ./compare/peers has written.
const peersFile = "peers.txt"

// picture is the path of README.md's picture.
const picture = "results/stages.svg"

// generate returns the content of all files that the command writes, by path below root.
func generate(root string, runs []string) (map[string][]byte, error) {
	pages := make(map[string][]byte)
	recorded, err := filepath.Glob(filepath.Join(root, "results", "*", "*", "bench.txt"))
	if err != nil {
		return nil, err
	}
	for _, file := range recorded {
		dir := filepath.Dir(file)
		made, err := report.Pages(dir, report.Options{})
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return nil, err
		}
		for name, page := range made {
			pages[filepath.Join(rel, name)] = page
		}
	}

	if err := addPeers(pages, root); err != nil {
		return nil, err
	}

	readme, err := files.Read(filepath.Join(root, "README.md"), limit)
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(readme), "\n")
	isPeers := func(run string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(run), peersFile))
		return err == nil
	}
	peers := slices.DeleteFunc(slices.Clone(runs), func(run string) bool { return !isPeers(run) })
	runs = slices.DeleteFunc(slices.Clone(runs), isPeers)
	if runs, err = nameRuns(lines, "runs", runs); err != nil {
		return nil, fmt.Errorf("README.md: %w", err)
	}
	if peers, err = nameRuns(lines, "peers", peers); err != nil {
		return nil, fmt.Errorf("README.md: %w", err)
	}
	f, err := read(root, runs, peers)
	if err != nil {
		return nil, err
	}
	made, err := replace(lines, map[string]func() (string, error){
		"accuracy":    func() (string, error) { return accuracy.quote(root) },
		"answer":      f.answer,
		"compression": func() (string, error) { return compression.quoteColumns(root, compressionColumns) },
		"networks":    f.networks,
		"picture":     f.picture,
		"recipe":      func() (string, error) { return quoteRecipe(root) },
		"training":    func() (string, error) { return training.quote(root) },
		"example":     func() (string, error) { return quoteExample(root) },
	})
	if err != nil {
		return nil, fmt.Errorf("README.md: %w", err)
	}
	pages["README.md"] = []byte(made)
	if pages[picture], err = f.svg(); err != nil {
		return nil, err
	}
	return pages, nil
}

// addPeers adds the page of every recorded run of peers.
func addPeers(pages map[string][]byte, root string) error {
	recorded, err := filepath.Glob(filepath.Join(root, "results", "*", "*", peersFile))
	if err != nil {
		return err
	}
	for _, file := range recorded {
		run, err := timings.ReadFile(file)
		if err != nil {
			return err
		}
		var page bytes.Buffer
		if err := run.WriteMarkdown(&page); err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		pages[filepath.Join(rel, "README.md")] = page.Bytes()
	}
	return nil
}

var beginLine = regexp.MustCompile(`^<!-- generated: (.*) -->\n$`)

const endLine = "<!-- end -->\n"

// nameRuns returns the runs that lines name in a line that begins with key, after it has made them name
// these instead unless there are none.
func nameRuns(lines []string, key string, runs []string) ([]string, error) {
	begin, end := "<!-- "+key+":", " -->\n"
	i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, begin) && strings.HasSuffix(line, end) })
	if i < 0 {
		return nil, fmt.Errorf("no line %s RUN... -->", begin)
	}
	if len(runs) == 0 {
		return strings.Fields(strings.TrimSuffix(strings.TrimPrefix(lines[i], begin), end)), nil
	}
	var named []string
	for _, run := range runs {
		named = append(named, filepath.ToSlash(filepath.Clean(run)))
	}
	lines[i] = begin + " " + strings.Join(named, " ") + end
	return named, nil
}

// replace returns lines with each generated region made new. Each region must be there once.
func replace(lines []string, regions map[string]func() (string, error)) (string, error) {
	var b strings.Builder
	seen := make(map[string]bool)
	for i := 0; i < len(lines); i++ {
		b.WriteString(lines[i])
		match := beginLine.FindStringSubmatch(lines[i])
		if match == nil {
			continue
		}
		name := match[1]
		if regions[name] == nil || seen[name] {
			return "", fmt.Errorf("line %d: generated region %q, expected each of %q once", i+1, name, slices.Sorted(maps.Keys(regions)))
		}
		seen[name] = true
		n := slices.Index(lines[i:], endLine)
		if n < 0 {
			return "", fmt.Errorf("line %d: generated region %q has no line %q", i+1, name, strings.TrimSpace(endLine))
		}
		text, err := regions[name]()
		if err != nil {
			return "", fmt.Errorf("generated region %q: %w", name, err)
		}
		b.WriteString(text)
		b.WriteString(endLine)
		i += n
	}
	for _, name := range slices.Sorted(maps.Keys(regions)) {
		if !seen[name] {
			return "", fmt.Errorf("no line <!-- generated: %s -->", name)
		}
	}
	return b.String(), nil
}
