package graph

// Shared are weights that know which values the weights of a layer share. Files store these once, and a
// short code for each weight.
type Shared interface {
	Weights

	// Codebook returns the values that the weights of a layer have, at most 256, and for each weight, in
	// the order of kernels.Weights, the place of its value among them. The first value is 0. ok is false for
	// a layer that shares no values. The slices must not be changed.
	Codebook(p Param) (codebook []float32, codes []uint8, ok bool)
}

// SharedOf returns w, or the weights that Rewrite.Apply made w from, as Shared; ok is false if they are
// not.
func SharedOf(w Weights) (s Shared, ok bool) {
	for {
		a, wrapped := w.(adapted)
		if !wrapped {
			s, ok = w.(Shared)
			return s, ok
		}
		w = a.Weights
	}
}
