package preprocess

import (
	"cmp"
	_ "embed"
	"slices"
	"sort"
	"strings"
	"sync"
)

// A Class is one of those that networks trained on ImageNet tell apart.
type Class struct {
	WNID  string // of its WordNet synset, for example n01440764
	Label string // a word for it, for example tench
}

// classTable has one line per class of the ImageNet Large Scale Visual Recognition
// Challenge 2012, tab-separated: its number, which is the network's output, the number of
// its WordNet synset, and a word for it.
//
//go:embed classes.tsv
var classTable string

var classes = sync.OnceValue(func() []Class {
	var table []Class
	for line := range strings.Lines(classTable) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		table = append(table, Class{"n" + fields[1], fields[2]})
	}
	return table
})

// Classes returns the 1000 classes of the ImageNet Large Scale Visual Recognition Challenge
// 2012, in the order of the networks' outputs.
func Classes() []Class { return slices.Clone(classes()) }

// TopK returns the indices of the k largest of probs, or of all if there are less, the largest
// first and of equals the lower index first. NaN counts as less than any number.
func TopK(probs []float32, k int) []int {
	if k < 1 {
		return nil
	}
	top := make([]int, 0, min(k, len(probs))+1)
	for i, p := range probs {
		place := sort.Search(len(top), func(j int) bool { return cmp.Less(probs[top[j]], p) })
		if place < k {
			top = slices.Insert(top, place, i)
			top = top[:min(k, len(top))]
		}
	}
	return top
}
