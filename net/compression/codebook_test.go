package compression

import (
	"fmt"
	"slices"
	"testing"
)

func TestKMeans(t *testing.T) {
	for what, test := range map[string]struct {
		values, weights, start, want []float64
		n                            int
		init                         Init
	}{
		"linear": {
			values: []float64{-3, 0, 1, 1.5, 5, 5.5, 9}, n: 4, init: Linear,
			start: []float64{-3, 1, 5, 9}, want: []float64{-3, 1.25, 5.25, 9},
		},
		"a value far from all": { // is dropped: between 2 and 100 there is nothing
			values: []float64{1, 2, 100}, n: 3, init: Linear, weights: []float64{1, 1, 1},
			start: []float64{1, 2, 100}, want: []float64{1, 2, 100},
		},
		"with nothing in the middle": {
			values: []float64{1, 2, 99, 100}, n: 3, init: Linear,
			start: []float64{1, 50.5, 100}, want: []float64{1.5, 99.5},
		},
		"density": {
			values: []float64{1, 1.5, 2, 3, 10, 11}, n: 3, init: Density,
			start: []float64{1, 2, 10}, want: []float64{1.25, 2.5, 10.5},
		},
		"weights": {
			values: []float64{1, 3, 10, 11}, weights: []float64{3, 1, 1, 1}, n: 2, init: Linear,
			start: []float64{1, 11}, want: []float64{1.5, 10.5},
		},
		"equal weights": {
			values: []float64{2, 2, 2}, n: 2, init: Random, start: []float64{2}, want: []float64{2},
		},
		"none": {n: 2},
	} {
		var values []float32
		for _, v := range test.values {
			values = append(values, float32(v))
		}
		p := newPoints(values, test.weights)
		start := p.start(test.init, test.n, 1)
		if !slices.Equal(start, test.start) {
			t.Errorf("%s: starts from %v, want %v", what, start, test.start)
		}
		if got := p.kMeans(start); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", what, got, test.want)
		}
	}
}

// TestRandomInit: random values are weights, depend on the seed, and on nothing else.
func TestRandomInit(t *testing.T) {
	var values []float32
	for i := range 100 {
		values = append(values, float32(i+1))
	}
	p := newPoints(values, nil)
	start := p.start(Random, 10, 1)
	if !slices.Equal(start, p.start(Random, 10, 1)) || slices.Equal(start, p.start(Random, 10, 2)) {
		t.Error("values do not depend on the seed alone")
	}
	for _, x := range start {
		if !slices.Contains(p.x, x) {
			t.Errorf("%g is no weight", x)
		}
	}
	if len(start) != 10 {
		t.Errorf("%d values, want 10", len(start))
	}
}

func TestCodebook(t *testing.T) {
	c := newCodebook([]float64{-2, -1e-60, 1, 1 + 1e-12, 4})
	if want := (codebook{0, -2, 1, 4}); !slices.Equal(c, want) {
		t.Fatalf("codebook %v, want %v", c, want)
	}
	for x, want := range map[float64]uint8{-9: 1, -2: 1, -0.6: 1, -0.4: 2, 0: 2, 1: 2, 2.4: 2, 2.6: 3, 4: 3, 9: 3} {
		if got := c.nearest(x); got != want {
			t.Errorf("code of %g is %d, want %d", x, got, want)
		}
	}
	codes := []uint8{0, 3, 1, 3}
	if got, want := c.drop(codes), (codebook{0, -2, 4}); !slices.Equal(got, want) || !slices.Equal(codes, []uint8{0, 2, 1, 2}) {
		t.Errorf("without what is not used: %v with codes %v, want %v", got, codes, want)
	}
	if got := (codebook{0}).nearest(1); got != 0 {
		t.Errorf("without values, code %d", got)
	}
}

func TestInit(t *testing.T) {
	for i := Linear; i <= Random; i++ {
		name, err := i.MarshalText()
		var got Init
		if err != nil || got.UnmarshalText(name) != nil || got != i {
			t.Errorf("%v is written as %s, error %v, and read as %v", i, name, err, got)
		}
	}
	var i Init
	want := `unknown initialization "no", expected one of linear, density, random`
	if err := i.UnmarshalText([]byte("no")); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if got := fmt.Sprint(Init(9)); got != "Init(9)" {
		t.Errorf("unknown one is %s", got)
	}
}
