package squeezenet

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
)

// A Micro is what the paper varies in its section 5, the microarchitecture, in networks for small
// pictures. The zero value is the paper's own choice.
type Micro struct {
	// SqueezeRatio is the number of a fire module's squeeze channels over that of its expand channels, at
	// most 1; 0 stands for 0.125. Share3x3 is the share of the expand channels that 3×3 kernels compute, more
	// than 0 and less than 1; 0 stands for 0.5.
	SqueezeRatio, Share3x3 float64

	// Pools are the numbers of the layers that a max pool follows, ascending, from 1 to 8; nil stands for 3
	// and 5. The later they lie, the larger are the activations in between.
	Pools []int

	Bypass Bypass
}

// resolve checks m and replaces zero values.
func (m Micro) resolve() (Micro, error) {
	if m.SqueezeRatio == 0 {
		m.SqueezeRatio = 0.125
	}
	if m.Share3x3 == 0 {
		m.Share3x3 = 0.5
	}
	if m.Pools == nil {
		m.Pools = []int{3, 5}
	}
	if !(m.SqueezeRatio > 0 && m.SqueezeRatio <= 1) {
		return m, fmt.Errorf("squeeze ratio is %v, expected more than 0 and at most 1", m.SqueezeRatio)
	}
	if !(m.Share3x3 > 0 && m.Share3x3 < 1) {
		return m, fmt.Errorf("share of 3×3 filters is %v, expected more than 0 and less than 1", m.Share3x3)
	}
	last := 0
	for _, p := range m.Pools {
		if p <= last || p > len(fires) {
			return m, fmt.Errorf("pools behind the layers %v, expected ascending numbers from 1 to %d", m.Pools, len(fires))
		}
		last = p
	}
	if m.Bypass < NoBypass || m.Bypass > ComplexBypass {
		return m, fmt.Errorf("bypass is %d, expected %d to %d", m.Bypass, NoBypass, ComplexBypass)
	}
	return m, nil
}

// Small is the name of the network of the zero Micro; those of others begin with it.
const Small = "squeezenet-cifar"

// name returns the name of m's network: Small, and what differs from the zero Micro.
func (m Micro) name() string {
	s := Small
	if m.SqueezeRatio != 0.125 {
		s += fmt.Sprintf("-ratio%v", m.SqueezeRatio)
	}
	if m.Share3x3 != 0.5 {
		s += fmt.Sprintf("-share%v", m.Share3x3)
	}
	if p := strings.Trim(fmt.Sprint(m.Pools), "[]"); p != "3 5" {
		s += "-pools" + strings.ReplaceAll(p, " ", ",")
	}
	if m.Bypass != NoBypass {
		s += "-" + bypasses[m.Bypass]
	}
	return s
}

// bypasses are the ends of names, by Bypass.
var bypasses = [...]string{"", "simple", "complex"}

// ParseMicro returns the Micro whose network has that name: Small and, separated by a -, any of ratioR, shareS,
// poolsA,B and simple or complex.
func ParseMicro(name string) (Micro, error) {
	fail := func(what string) (Micro, error) {
		return Micro{}, fmt.Errorf("squeezenet: %s: %s, expected %s and any of -ratioR, -shareS, -poolsA,B, -simple, -complex", name, what, Small)
	}
	rest, ok := strings.CutPrefix(name, Small)
	if !ok || rest != "" && rest[0] != '-' {
		return fail("unknown name")
	}
	var m Micro
	for _, part := range strings.Split(rest, "-")[1:] {
		number := func(s string, to *float64) (err error) {
			*to, err = strconv.ParseFloat(s, 64)
			return err
		}
		var err error
		if s, ok := strings.CutPrefix(part, "ratio"); ok {
			err = number(s, &m.SqueezeRatio)
		} else if s, ok := strings.CutPrefix(part, "share"); ok {
			err = number(s, &m.Share3x3)
		} else if s, ok := strings.CutPrefix(part, "pools"); ok {
			for _, digits := range strings.Split(s, ",") {
				var p int
				if p, err = strconv.Atoi(digits); err != nil {
					break
				}
				m.Pools = append(m.Pools, p)
			}
		} else if b := slices.Index(bypasses[1:], part); b >= 0 {
			m.Bypass = Bypass(b + 1)
		} else {
			return fail(fmt.Sprintf("unknown part %q", part))
		}
		if err != nil {
			return fail(fmt.Sprintf("part %q has no number", part))
		}
	}
	m, err := m.resolve()
	if err != nil {
		return Micro{}, fmt.Errorf("squeezenet: %s: %w", name, err)
	}
	return m, nil
}

// New returns the table of a network for pictures of 32×32 pixels in so many classes: the fire modules of the
// paper behind a first convolution of 3×3 with stride 1 and 64 channels, and fewer pools.
func (m Micro) New(classes int) (*graph.Model, error) {
	m, err := m.resolve()
	if err != nil {
		return nil, fmt.Errorf("squeezenet: %w", err)
	}
	if classes < 1 {
		return nil, fmt.Errorf("squeezenet: %d classes, expected at least 1", classes)
	}
	t := table{}
	t.conv("conv1", layer.Conv{Out: 64, Kernel: 3, Pad: kernels.Pad(1)})
	t.pool(m.Pools, 1)
	for i, f := range fires {
		expand := 2 * f.expand
		squeeze := max(1, int(math.Round(m.SqueezeRatio*float64(expand))))
		e3 := min(max(1, int(math.Round(m.Share3x3*float64(expand)))), expand-1)
		t.fire(i+2, squeeze, expand-e3, e3, m.Bypass)
		t.pool(m.Pools, i+2)
	}
	t.head(classes)
	return &graph.Model{
		Name:         m.name(),
		Input:        layer.Shape{H: 32, W: 32, C: 3},
		Preprocessor: "cifar-rgb-32",
		Head:         "conv10",
		Nodes:        t.nodes,
	}, nil
}
