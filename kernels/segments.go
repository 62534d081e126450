package kernels

// A segment is n elements, or channels, from one on, that one call of a kernel computes.
type segment[K any] struct {
	kernel   K
	first, n int
}

// segments divides n elements among the kernel that takes lanes of them at a time and the scalar one.
// What is left over beyond whole vectors is part of a vector, too, which overlaps the vectors before
// it. With once, no element may be computed twice, and the scalar kernel computes what is left over.
func segments[K any](n, lanes int, vector, scalar K, once bool) []segment[K] {
	body := n / lanes * lanes
	switch {
	case body == n:
		return []segment[K]{{vector, 0, n}}
	case body == 0:
		return []segment[K]{{scalar, 0, n}}
	case once:
		return []segment[K]{{vector, 0, body}, {scalar, body, n - body}}
	}
	return []segment[K]{{vector, 0, body}, {vector, n - lanes, lanes}}
}
