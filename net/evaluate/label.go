package evaluate

import (
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"firebench/net/preprocess"
)

// Unknown is the label of a picture whose class is not known.
const Unknown = -1

// wnid is the number of a WordNet synset at the start of a name, and not of a longer word.
var wnid = regexp.MustCompile(`^n[0-9]{8}($|[^0-9A-Za-z])`)

// Label returns the class of a picture as names say it, an index of [preprocess.Classes]: the
// number of its synset, as in n02088238_basset.JPEG, at the start of the file's name or else of
// its folder's; or else its folder's name if that is the class's label, as in daisy/1.jpg,
// where case does not count and underscores are spaces. Two classes share the label crane, and
// two maillot: such a folder says nothing. Label returns Unknown for what names do not say.
func Label(path string) int {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute // even of a.jpg, the folder has a name
	}
	folder := filepath.Base(filepath.Dir(path))
	known := names()
	for _, name := range []string{filepath.Base(path), folder} {
		if wnid.MatchString(name) {
			if class, ok := known[name[:9]]; ok {
				return class
			}
			return Unknown
		}
	}
	if class, ok := known[plain(folder)]; ok {
		return class
	}
	return Unknown
}

// names has the class of every number of a synset, and of every label in its plain form.
var names = sync.OnceValue(func() map[string]int {
	known := map[string]int{}
	for i, c := range preprocess.Classes() {
		known[c.WNID] = i
		label := plain(c.Label)
		if _, taken := known[label]; taken {
			known[label] = Unknown
		} else {
			known[label] = i
		}
	}
	return known
})

// plain is the form in which labels and names of folders are compared.
func plain(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", " ") }
