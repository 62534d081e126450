package compress

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"firebench/net/graph"
	"firebench/net/weights"
)

func TestZAlex(t *testing.T) {
	m := lookup(t, "alexnet-owt")
	w := weights.Random(1)
	start := time.Now()
	q, qw, err := Factorize(FactorizeOptions{Ranks: map[string]Rank{"fc6": {N: 1024}, "fc7": {N: 256}}}, func(l FactorizedLayer) { fmt.Printf("%v %+v\n", time.Since(start), l) }).Apply(m, w)
	if err != nil {
		t.Fatal(err)
	}
	a := compile(t, m, w, graph.Options{})
	b := compile(t, q, qw, graph.Options{})
	var ra []float64
	var da, db []time.Duration
	for range 60 {
		s := time.Now()
		a.Run()
		x := time.Since(s)
		s = time.Now()
		b.Run()
		y := time.Since(s)
		da, db, ra = append(da, x), append(db, y), append(ra, float64(x)/float64(y))
	}
	slices.Sort(ra)
	slices.Sort(da)
	slices.Sort(db)
	fmt.Println("ratio quartiles", ra[15], ra[30], ra[45], "min", da[0], db[0], float64(da[0])/float64(db[0]), "medians", da[30], db[30])
}
