package kernels

import "fmt"

// A Tile is kernels of type F of one width in every height: Funcs[m-1] computes m output pixels,
// or rows of a matrix, at a time.
type Tile[F any] struct {
	Width int // output channels, or columns of a matrix
	Funcs []F
}

// Height returns the greatest height.
func (t Tile[F]) Height() int { return len(t.Funcs) }

// Name returns the tile's name in benchmarks, conv_f32_14x32_avx512 for the family conv_f32 and 14
// pixels × 32 channels.
func (t Tile[F]) Name(family string, isa ISA) string {
	return fmt.Sprintf("%s_%dx%d_%v", family, t.Height(), t.Width, isa)
}

// split divides n pixels, or rows, among as few tiles as possible, of almost equal heights: first
// taller tiles that are height+1 high, then shorter tiles that are height high.
func (t Tile[F]) split(n int) (height, taller, shorter int) { return split(n, t.Height()) }

// split does so for tiles up to highest high.
func split(n, highest int) (height, taller, shorter int) {
	tiles := (n + highest - 1) / highest
	return n / tiles, n % tiles, tiles - n%tiles
}

// Tiles are the two tiles of a family, which have weights of the same layout. Wide is for most
// output channels. Narrow is for the last channels of a layer, of which Wide would waste a part; it
// may be the same tile as Wide.
type Tiles[F any] struct {
	Wide, Narrow Tile[F]

	// Group is how many neighbouring inputs of a sum have their weights beside each other: the
	// weights of a block of output channels are its panel[input/Group][channel][input%Group].
	Group int
}

// of returns the tile of a block.
func (t *Tiles[F]) of(b *block) *Tile[F] {
	if b.narrow {
		return &t.Narrow
	}
	return &t.Wide
}
