package samples

import (
	"math"
	"strings"
	"testing"
)

// The facts come from the models and are those of the papers.
func TestFacts(t *testing.T) {
	for _, test := range []struct {
		net    string
		params int64
		macs   float64 // millions
		stages string
	}{
		{"squeezenet1.0", 1248424, 832.7, "stem 55 27 13 head"},
		{"alexnet", 60965224, 724.4, "stem 55 27 13 head"},
		{"alexnet-owt", 61100840, 714.2, "stem 27 13 head"},
	} {
		n, err := Lookup(facts, test.net)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		var macs int64
		for _, s := range n.Stages {
			names = append(names, s.Name)
			macs += s.Cost.MACs
		}
		if got := strings.Join(names, " "); got != test.stages {
			t.Errorf("%s: stages %s, want %s", n.Name, got, test.stages)
		}
		if n.Whole.Cost.Params != test.params || math.Round(float64(n.Whole.Cost.MACs)/1e5)/10 != test.macs || macs != n.Whole.Cost.MACs {
			t.Errorf("%s: %+v, want %d parameters and %.1fM multiply-adds", n.Name, n.Whole.Cost, test.params, test.macs)
		}
	}
}
