// Package codecs tells what general codecs make of the streams of a file of weights, which package weights codes with
// canonical Huffman codes.
package codecs

import (
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/huff0"
	"github.com/klauspost/compress/zstd"

	"firebench/net/weights"
)

// Sizes are the bytes that a codec needs.
type Sizes struct {
	Codes int64 // for the codes of all layers
	Gaps  int64 // for the gaps of all layers
}

// A Comparison has the same streams coded by several codecs. Each layer's are coded on their own, as a file must do whose
// layers are read one by one. A codec that needs more bytes than a stream has leaves that as it is.
type Comparison struct {
	Symbols Sizes // how many there are, one a byte
	FBW     Sizes // canonical Huffman codes, with their tables, each stream rounded up to bytes
	Huff0   Sizes // the Huffman codec of zstd, of at most 11 bits, in blocks of at most 128 KiB, with its tables
	Zstd    Sizes // zstd at its best level, with its frames
}

// Compare codes the streams of layers.
func Compare(layers []weights.Streams) (c Comparison, err error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return c, err
	}
	defer z.Close()
	add := func(node string, bits int64, symbols []byte, size func(s *Sizes) *int64) error {
		h, err := huff0Size(symbols)
		if err != nil {
			return fmt.Errorf("layer %s: huff0: %w", node, err)
		}
		*size(&c.Symbols) += int64(len(symbols))
		*size(&c.FBW) += (bits + 7) / 8
		*size(&c.Huff0) += int64(h)
		*size(&c.Zstd) += int64(min(len(z.EncodeAll(symbols, nil)), len(symbols)))
		return nil
	}
	for _, l := range layers {
		if l.Codes != nil {
			if err := add(l.Node, l.Values, l.Codes, func(s *Sizes) *int64 { return &s.Codes }); err != nil {
				return c, err
			}
		}
		if err := add(l.Node, l.Gaps, l.GapSymbols, func(s *Sizes) *int64 { return &s.Gaps }); err != nil {
			return c, err
		}
	}
	return c, nil
}

// huff0Size returns how many bytes huff0 needs.
func huff0Size(symbols []byte) (size int, err error) {
	for block := range slices.Chunk(symbols, huff0.BlockSizeMax) {
		coded, _, err := huff0.Compress1X(block, &huff0.Scratch{Reuse: huff0.ReusePolicyNone})
		switch {
		case err == nil:
			size += len(coded)
		case errors.Is(err, huff0.ErrUseRLE):
			size++
		case errors.Is(err, huff0.ErrIncompressible):
			size += len(block)
		default:
			return 0, err
		}
	}
	return size, nil
}
