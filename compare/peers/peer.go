package main

import (
	"slices"

	"firebench/compare/peers/timings"
	"firebench/net/cli"
)

// A peer is an implementation that is measured.
type peer struct {
	name         string
	requirements string   // the environment of its worker; "" for those in Go
	types        []string // what it may be asked to compute with
	bound        float64  // how far its float32 results may be from ours, in parts of the largest logit
}

// train is the type of a step of training, which computes with float32.
const train = "train"

// types are those of the values that networks compute with, and allTypes also has train.
var (
	types    = []string{cli.F32, cli.Int8}
	allTypes = append(slices.Clone(types), train)
)

// f32Bound is that of float32: sums in another order, and Winograd's algorithms.
const f32Bound = 1e-3

// peers are all implementations, in the order of the tables, the first being Firebench itself.
var peers = []peer{
	{timings.Firebench, "", allTypes, f32Bound},
	{"onnxruntime", "onnxruntime", types, f32Bound},
	{"openvino", "openvino", types, f32Bound},
	// By default ncnn stores values with 16 bits where the processor can, and 8 of these may be all
	// that a number has.
	{"ncnn", "ncnn", types, 1e-2},
	{"ncnn-f32", "ncnn", types[:1], f32Bound},
	{"mnn", "mnn", types, f32Bound},
	{"litert", "litert", types, f32Bound},
	{"tract", "tract", types, f32Bound},
	{gonumName, "", types[:1], f32Bound},
	{"pytorch", "pytorch", []string{train}, f32Bound},
}

// names returns the names of all peers.
func names() []string {
	var list []string
	for _, p := range peers {
		list = append(list, p.name)
	}
	return list
}

// agreement returns how close the peer must be to a result. In int8 all may round differently, and
// round what follows from that: a result may be twice as far from ours as ours is from that in
// float32, as if both were independent. Ours has the same bits everywhere.
func (p peer) agreement(c computation) agreement {
	a := agreement{logits: c.logits, bound: p.bound, loss: c.typ == train}
	if c.typ == cli.Int8 {
		a.top = true
		if a.bound = 2 * c.quantization; p.name == timings.Firebench {
			a.bound = 0
		}
	}
	return a
}

// runs reports whether the peer computes with a type.
func (p peer) runs(typ string) bool { return slices.Contains(p.types, typ) }
