package evaluate

import (
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"firebench/net/graph"
	"firebench/net/preprocess"
)

// Unknown is the label of a picture whose class is not known.
const Unknown = -1

// Labels returns the function that says which class of a classifier m with so many classes a picture has, as
// names say it, or that it is Unknown. Where m names its classes, the picture's folder has the class's name,
// where case does not count and underscores are spaces; else 1000 classes are those that Label knows.
func Labels(m *graph.Model, classes int) func(path string) int {
	switch {
	case len(m.Classes) > 0:
		known := map[string]int{}
		for i, name := range m.Classes {
			add(known, name, i)
		}
		return func(path string) int { return find(known, folder(path)) }
	case classes == len(preprocess.Classes()):
		return Label
	}
	return func(string) int { return Unknown }
}

// wnid is the number of a WordNet synset at the start of a name, and not of a longer word.
var wnid = regexp.MustCompile(`^n[0-9]{8}($|[^0-9A-Za-z])`)

// Label returns the class of a picture as names say it, an index of [preprocess.Classes]: the
// number of its synset, as in n02088238_basset.JPEG, at the start of the file's name or else of
// its folder's; or else its folder's name if that is the class's label, as in daisy/1.jpg,
// where case does not count and underscores are spaces. Two classes share the label crane, and
// two maillot: such a folder says nothing. Label returns Unknown for what names do not say.
func Label(path string) int {
	known, folder := names(), folder(path)
	for _, name := range []string{filepath.Base(path), folder} {
		if wnid.MatchString(name) {
			return find(known, name[:9])
		}
	}
	return find(known, folder)
}

// folder returns the name of the folder that a file is in.
func folder(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute // even of a.jpg, the folder has a name
	}
	return filepath.Base(filepath.Dir(path))
}

// find returns the class of a name, or Unknown.
func find(known map[string]int, name string) int {
	if class, ok := known[plain(name)]; ok {
		return class
	}
	return Unknown
}

// add makes name that of a class. A name of two classes says nothing.
func add(known map[string]int, name string, class int) {
	name = plain(name)
	if _, taken := known[name]; taken {
		class = Unknown
	}
	known[name] = class
}

// names has the class of every number of a synset, and of every label in its plain form.
var names = sync.OnceValue(func() map[string]int {
	known := map[string]int{}
	for i, c := range preprocess.Classes() {
		known[c.WNID] = i
		add(known, c.Label, i)
	}
	return known
})

// plain is the form in which labels and names of folders are compared.
func plain(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", " ") }
