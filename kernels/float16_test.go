package kernels

import (
	"math"
	"testing"

	"firebench/kernels/scalar"
)

// TestFloat16 goes through all float16 values. Each must be what the standard says, and nearest to the
// numbers around it as far as the middle between it and the next one, which belongs to the even one.
func TestFloat16(t *testing.T) {
	value := func(h uint16) float64 {
		fraction, exponent := float64(h&1023), int(h>>10&31)
		if exponent == 0 {
			return math.Ldexp(fraction, -24)
		}
		return math.Ldexp(1024+fraction, exponent-25)
	}
	const infinity = 31 << 10
	for h := uint16(0); h < infinity; h++ {
		for _, sign := range []uint16{0, 1 << 15} {
			v := float32(value(h)) * (1 - 2*float32(sign>>15))
			if got := scalar.Float16(h | sign); got != v || math.Signbit(float64(got)) != (sign != 0) {
				t.Fatalf("%#04x is %g, want %g", h|sign, got, v)
			}
			if sign != 0 && h == 0 {
				v = float32(math.Copysign(0, -1))
			}
			next := value(h + 1) // 65536 behind the last
			middle := float32(value(h)+next) / 2
			even := h + h&1
			for _, c := range []struct {
				v    float32
				want uint16
			}{
				{float32(value(h)), h},
				{math.Nextafter32(middle, 0), h},
				{middle, even},
				{math.Nextafter32(middle, 1e6), h + 1},
			} {
				if c.want == infinity {
					continue
				}
				if got := float16(float32(math.Copysign(float64(c.v), float64(v)))); got != c.want|sign {
					t.Fatalf("float16(%g) is %#04x, want %#04x", c.v, got, c.want|sign)
				}
			}
		}
	}
	for h, want := range map[uint16]float64{infinity: math.Inf(1), infinity | 1<<15: math.Inf(-1)} {
		if got := scalar.Float16(h); float64(got) != want {
			t.Errorf("%#04x is %g, want %g", h, got, want)
		}
	}
	if got := scalar.Float16(infinity | 1); got == got {
		t.Errorf("%#04x is %g, want a NaN", infinity|1, got)
	}
}

// TestInt8: weights become the nearest integers, ties to even, that an int8 holds.
func TestInt8(t *testing.T) {
	for w, want := range map[float32]int8{0.5: 0, 1.5: 2, 2.5: 2, -0.5: 0, -1.5: -2, 2.51: 3, 126.5: 126, 127: 127, 128: 127, -128.4: -128, -300: -128} {
		if got := int8Weights.round(w); got != want {
			t.Errorf("%g becomes %d, want %d", w, got, want)
		}
	}
}

// TestWeightOnlyCycles compares the estimates with cycles counted by hand, for vectors of eight lanes and
// tiles of two pixels.
func TestWeightOnlyCycles(t *testing.T) {
	tile := alone(Tile[WConvFunc[uint16]]{32, make([]WConvFunc[uint16], 2)})
	set := &Set{F32: &F32{Lanes: 8, F16Conv: tile}}
	dense := Problem{ConvShape: ConvShape{In: 4096, Out: 1000, KH: 1, KW: 1, Stride: 1, Groups: 1}, H: 1, W: 1}
	for _, c := range []struct {
		wt    WeightsType
		size  int // pixels along a side
		cache int
		want  int
	}{
		{Float16Weights, 1, 1 << 20, (4096*1000*2 + 8000) / 6},
		{Int8Weights, 1, 1 << 20, (4096*1000 + 8000) / 6},
		{Int8Weights, 1, 1 << 30, 4096 * 125},
		{Int8Weights, 3, 1 << 20, 5 * 4096 * 125}, // nine pixels, two at a time
	} {
		p := dense
		p.H, p.W, p.WeightsType = c.size, c.size, c.wt
		if got, ok := weightOnly.cycles(set, p, c.cache); !ok || got != c.want {
			t.Errorf("%v, %d pixels: %d cycles, %v, want %d", c.wt, c.size*c.size, got, ok, c.want)
		}
		if a, ok := pick(set, p, c.cache); !ok || a.name != direct.name {
			t.Errorf("%v: picked %q", c.wt, a.name)
		}
		for _, a := range []algorithm{direct, winogradAlgorithm, qdirect, qwinograd} {
			if _, ok := a.cycles(set, p, c.cache); ok {
				t.Errorf("%v: computed by %s for float32", c.wt, a.name)
			}
		}
	}
	if _, ok := weightOnly.cycles(set, dense, 1<<20); ok {
		t.Error("float32 weights are computed as others")
	}
}
