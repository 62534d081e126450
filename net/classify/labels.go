package main

import (
	_ "embed"
	"strings"
	"sync"
)

// labelTable has one line per class of the ImageNet Large Scale Visual
// Recognition Challenge 2012, tab-separated: its number, which is the network's
// output, the number of its WordNet synset, and a word for it.
//
//go:embed labels.tsv
var labelTable string

// A class is what the networks tell apart.
type class struct{ wnid, label string }

// classes returns the table by class number.
var classes = sync.OnceValue(func() []class {
	var table []class
	for line := range strings.Lines(labelTable) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		table = append(table, class{"n" + fields[1], fields[2]})
	}
	return table
})
