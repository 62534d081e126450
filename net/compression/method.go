package compression

import (
	"fmt"
	"slices"
	"strings"
)

// A Method is how [Calibrate] chooses the range of a value, beyond which numbers are clipped, from the
// numbers that it had in all pictures. No method clips scores, which are the values without weights
// behind them: the answer depends on the largest of them. A Method is written and read as text, so
// that a flag can have it.
type Method uint8

// The zero Method is none, so that a file cannot leave it out.
const (
	// MinMax clips nothing: the range is from the smallest to the largest number.
	MinMax Method = iota + 1

	// Percentile clips at most one number in 100,000 at each end of the range.
	Percentile

	// KL clips where the distribution of the numbers, as seen through 256 levels, differs least
	// from the real one, by the Kullback-Leibler divergence. See Migacz, "8-bit Inference with
	// TensorRT", GTC 2017. Zeros do not count, because they are exact in every type.
	KL
)

// Default is the method with the smallest errors of logits and probabilities on the published weights
// of SqueezeNet v1.0.
const Default = KL

var methods = [...]struct {
	name   string
	choose func(h *histogram) (low, high float64)
}{
	MinMax:     {"minmax", (*histogram).minMax},
	Percentile: {"percentile", (*histogram).percentile},
	KL:         {"kl", (*histogram).kl},
}

// Methods returns all methods.
func Methods() []Method {
	var all []Method
	for m := MinMax; int(m) < len(methods); m++ {
		all = append(all, m)
	}
	return all
}

// String returns the method's name: minmax, percentile or kl.
func (m Method) String() string {
	if slices.Contains(Methods(), m) {
		return methods[m].name
	}
	return fmt.Sprintf("Method(%d)", uint8(m))
}

// check returns an error for a number that is not one of the constants.
func (m Method) check() error {
	switch {
	case m == 0:
		return fmt.Errorf("no method, expected %s", methodNames())
	case !slices.Contains(Methods(), m):
		return fmt.Errorf("unknown method %v, expected %s", m, methodNames())
	}
	return nil
}

// MarshalText returns the method's name.
func (m Method) MarshalText() ([]byte, error) { return []byte(m.String()), m.check() }

// UnmarshalText sets m to the method of that name; the error lists the names that there are.
func (m *Method) UnmarshalText(name []byte) error {
	for _, known := range Methods() {
		if known.String() == string(name) {
			*m = known
			return nil
		}
	}
	return fmt.Errorf("unknown method %q, expected %s", name, methodNames())
}

// methodNames lists the names of all methods, for errors.
func methodNames() string {
	var names []string
	for _, m := range Methods() {
		names = append(names, m.String())
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
