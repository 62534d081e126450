package codecs

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"firebench/kernels/kerneltest"
	"firebench/net/models"
	"firebench/net/weights"
)

// TestComparePublished: the sizes of the published weights' streams.
func TestComparePublished(t *testing.T) {
	w, err := weights.Open(kerneltest.Shared(t, "weights/compressed_SqueezeNet.net"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := models.Lookup("squeezenet1.0")
	if err != nil {
		t.Fatal(err)
	}
	streams, err := weights.StreamsOf(m, w)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Compare(streams)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", got)
	if want := (Sizes{416_734, 352_968}); got.Symbols != want {
		t.Errorf("symbols %+v, want %+v", got.Symbols, want)
	}
	if want := (Sizes{381_824, 116_997}); got.FBW != want {
		t.Errorf("FBW %+v, want %+v", got.FBW, want)
	}
	// The others depend on their version.
	less := func(a, b Sizes) bool { return a.Codes < b.Codes && a.Gaps < b.Gaps }
	if !less(got.FBW, got.Huff0) || !less(got.Huff0, got.Zstd) || !less(got.Zstd, got.Symbols) {
		t.Errorf("%+v: FBW, huff0 and zstd are in another order", got)
	}
}

// TestCompare: streams of which the sizes are known.
func TestCompare(t *testing.T) {
	noise := make([]byte, 1000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	pairs := make([]byte, 300_000) // two symbols of one bit each, in three blocks of huff0
	for i := range pairs {
		pairs[i] = noise[i%997] & 1
	}
	got, err := Compare([]weights.Streams{
		{Node: "raw", Values: 32 * 10},
		{Node: "noise", Values: 8001, Codes: noise},
		{Node: "constant", Values: 1000, Codes: make([]byte, 1000), Gaps: 9, GapSymbols: []byte{0, 1, 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	zstd := got.Zstd.Codes - 1000
	if zstd < 1 || zstd > 20 {
		t.Errorf("zstd needs %d bytes for 1000 equal ones", zstd)
	}
	want := Comparison{
		Symbols: Sizes{2000, 3},
		FBW:     Sizes{1001 + 125, 2},
		Huff0:   Sizes{1000 + 1, 3},
		Zstd:    Sizes{1000 + zstd, 3},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want\n%+v", got, want)
	}
	if n, err := huff0Size(pairs); err != nil || n < 300_000/8 || n > 300_000/8+3*20 {
		t.Errorf("%d bytes for %d bits, error %v", n, len(pairs), err)
	}
}
