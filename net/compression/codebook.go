package compression

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
)

// An Init is how the values of a codebook are chosen before k-means improves them, as in Han et al., Deep
// Compression, https://arxiv.org/abs/1510.00149, section 3.2. It is written and read as text.
type Init uint8

const (
	// Linear spaces the values evenly from the smallest to the largest weight, so that there are values for the
	// few large weights, which matter most.
	Linear Init = iota

	// Density spaces them so that between any two there are equally many weights.
	Density

	// Random takes random weights.
	Random
)

var initNames = []string{Linear: "linear", Density: "density", Random: "random"}

// String returns the name: linear, density or random.
func (i Init) String() string {
	if int(i) < len(initNames) {
		return initNames[i]
	}
	return fmt.Sprintf("Init(%d)", uint8(i))
}

func (i Init) check() error {
	if int(i) >= len(initNames) {
		return fmt.Errorf("unknown initialization %v, expected one of %s", i, strings.Join(initNames, ", "))
	}
	return nil
}

// MarshalText returns the name.
func (i Init) MarshalText() ([]byte, error) { return []byte(i.String()), i.check() }

// UnmarshalText sets i to the initialization of that name; the error lists the names that there are.
func (i *Init) UnmarshalText(name []byte) error {
	at := slices.Index(initNames, string(name))
	if at < 0 {
		return fmt.Errorf("unknown initialization %q, expected one of %s", name, strings.Join(initNames, ", "))
	}
	*i = Init(at)
	return nil
}

// points are numbers in rising order, which count by weights.
type points struct {
	x, weight []float64
}

// newPoints returns the numbers that are not zero, equal ones as one. Without weights, each counts as 1.
func newPoints(values []float32, weights []float64) points {
	index := make([]int, 0, len(values))
	for i, v := range values {
		if v != 0 {
			index = append(index, i)
		}
	}
	slices.SortStableFunc(index, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	var p points
	for _, i := range index {
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		x := float64(values[i])
		if last := len(p.x) - 1; last >= 0 && p.x[last] == x {
			p.weight[last] += w
			continue
		}
		p.x = append(p.x, x)
		p.weight = append(p.weight, w)
	}
	return p
}

// start returns k values to start from.
func (p points) start(init Init, k int, seed uint64) []float64 {
	n := len(p.x)
	if n <= k {
		return slices.Clone(p.x)
	}
	centers := make([]float64, k)
	switch init {
	case Linear:
		low, high := p.x[0], p.x[n-1]
		for i := range centers {
			centers[i] = low + (high-low)*float64(i)/float64(max(1, k-1))
		}
	case Density:
		total := 0.0
		for _, w := range p.weight {
			total += w
		}
		sum, i := 0.0, 0
		for j, x := range p.x {
			sum += p.weight[j]
			for i < k && sum >= total*(float64(i)+0.5)/float64(k) {
				centers[i] = x
				i++
			}
		}
		for ; i < k; i++ {
			centers[i] = p.x[n-1]
		}
	case Random:
		r := rand.New(rand.NewPCG(seed, 0))
		for i, j := range r.Perm(n)[:k] {
			centers[i] = p.x[j]
		}
	}
	slices.Sort(centers)
	return slices.Compact(centers)
}

// kMeans moves centers, which are in rising order, to the means of the points that are closest to each, until
// nothing changes. A center that is closest to none is dropped.
func (p points) kMeans(centers []float64) []float64 {
	mass := make([]float64, len(p.x)+1)   // of the points before each
	moment := make([]float64, len(p.x)+1) // their sum
	for i, x := range p.x {
		mass[i+1] = mass[i] + p.weight[i]
		moment[i+1] = moment[i] + x*p.weight[i]
	}
	for range maxIterations {
		moved := make([]float64, 0, len(centers))
		from := 0
		for i := range centers {
			to := len(p.x)
			if i+1 < len(centers) {
				middle := (centers[i] + centers[i+1]) / 2
				to = from + sort.SearchFloat64s(p.x[from:], middle)
			}
			if m := mass[to] - mass[from]; to > from && m > 0 {
				// Rounding must not carry a mean beyond its points, whose order would be lost.
				mean := (moment[to] - moment[from]) / m
				moved = append(moved, min(max(mean, p.x[from]), p.x[to-1]))
			}
			from = to
		}
		moved = slices.Compact(moved)
		if slices.Equal(moved, centers) {
			break
		}
		centers = moved
	}
	return centers
}

// maxIterations is far more than k-means needs on weights of networks to come to rest but for the last digits.
const maxIterations = 300

// A codebook has the values of a layer's weights: the first is 0, the others rise.
type codebook []float32

// newCodebook returns a codebook with these values and 0.
func newCodebook(centers []float64) codebook {
	c := codebook{0}
	for _, x := range centers {
		if v := float32(x); v != 0 {
			c = append(c, v)
		}
	}
	slices.Sort(c[1:])
	return slices.Compact(c)
}

// nearest returns the code of the value that is closest to x and not zero, or of zero if there are no others.
func (c codebook) nearest(x float64) uint8 {
	if len(c) == 1 {
		return 0
	}
	i := 1 + sort.Search(len(c)-1, func(i int) bool { return float64(c[1+i]) >= x })
	if i == len(c) || i > 1 && math.Abs(x-float64(c[i-1])) <= math.Abs(float64(c[i])-x) {
		i--
	}
	return uint8(i)
}

// drop removes the values that no code names and returns what is left; codes name the same values as before.
func (c codebook) drop(codes []uint8) codebook {
	var used [256]bool
	used[0] = true
	for _, code := range codes {
		used[code] = true
	}
	var renamed [256]uint8
	var left codebook
	for i, v := range c {
		if used[i] {
			renamed[i] = uint8(len(left))
			left = append(left, v)
		}
	}
	for i, code := range codes {
		codes[i] = renamed[code]
	}
	return left
}
