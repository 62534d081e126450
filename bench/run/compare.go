package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firebench/bench/machine"
	"firebench/compare/report"
)

// compare writes the pages of a record and prints its comparison.
func (o *options) compare(dir string, stdout, stderr io.Writer) error {
	if err := report.WritePages(dir, o.report(nil)); err != nil { // what it would log comes with the comparison
		return err
	}
	return printComparison(filepath.Join(dir, samplesFile), o.report(stderr), stdout)
}

// report returns what the comparison is to hold: the networks that -net names, two of them side by
// side. Of more than two these are the default ones, if -net names both, else the first two.
func (o *options) report(stderr io.Writer) report.Options {
	nets := o.nets[:min(2, len(o.nets))]
	named := func(net string) bool { return slices.Contains(o.nets, net) }
	if len(o.nets) > 2 && named(report.DefaultNets[0]) && named(report.DefaultNets[1]) {
		nets = report.DefaultNets
	}
	return report.Options{Nets: nets, Log: stderr}
}

// printComparison prints the comparison of the samples in a file.
func printComparison(path string, o report.Options, stdout io.Writer) error {
	r, err := report.Read(o, path)
	if err != nil {
		return err
	}
	return r.Write(stdout, "text")
}

// printLast prints the comparison of the newest record of this machine.
func (o *options) printLast(stdout, stderr io.Writer) error {
	path, recorded, err := last(filepath.Join("results", machine.Name()))
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "%s, %s\n", path, recorded)
	return printComparison(path, o.report(stderr), stdout)
}

// last returns the newest record in a folder of records, and its line that says when it
// was recorded. The times of the files do not count: in a fresh clone they are all alike.
func last(folder string) (path, recorded string, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*", samplesFile))
	if err != nil {
		return "", "", err
	}
	var newest time.Time
	for _, p := range paths {
		line, at := recordedLine(p)
		if at.After(newest) {
			path, recorded, newest = p, line, at
		}
	}
	if path == "" {
		return "", "", fmt.Errorf("no record of this machine in %s; go run ./bench/run makes one, go run ./compare FILE... reads any", folder)
	}
	return path, recorded, nil
}

// recordedLine returns what a file of samples says about its recording in its first
// line, and the time in it; the zero time if it says nothing.
func recordedLine(path string) (string, time.Time) {
	f, err := os.Open(path)
	if err != nil {
		return "", time.Time{}
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Scan()
	line := strings.TrimPrefix(s.Text(), "# ")
	stamp, _, _ := strings.Cut(strings.TrimPrefix(line, "recorded "), ",")
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return "", time.Time{}
	}
	return line, at
}
