// Package compress makes networks smaller and faster: its rewrites, see [graph.Rewrite], turn a model
// and its weights into others that compute almost the same.
//
// # Quantization
//
// A quantized network computes with uint8 activations and int8 weights in the arithmetic of ONNX's
// QLinearConv, which is exact: all instruction sets, algorithms, numbers of threads and batches give
// the same bits. [Calibrate] runs a float32 network on pictures and finds out which range each value
// has, by a [Method]; the resulting [Calibration] can be written to a file and loaded. It has a type
// for each value, which is a scale and a zero point; the flags of the commands call them all scales.
// [Quantize] rewrites the network with it:
//
//	c, err := compress.Calibrate(model, weights, compress.Default, pictures, graph.Options{})
//	model, weights, err = compress.Quantize(c, compress.Options{}).Apply(model, weights)
//	plan, err := graph.Compile(model, weights, graph.Options{})
//
// Inputs, outputs and logits stay float32. Layers that there is no quantized form of, such as LRN
// and softmax, and those that the caller wants to keep, compute in float32 between a [layer.Dequantize]
// and a [layer.Quantize].
//
// # Factorization
//
// [Factorize] makes two or three smaller layers of one, whose product is close to it, with ranks that are given, or
// that an energy or a budget of cycles gives. It comes before quantization, as it changes the names of layers:
//
//	o := compress.FactorizeOptions{Ranks: map[string]compress.Rank{"fc6": {N: 1024}, "fc7": {N: 256}}}
//	model, weights, err = compress.Factorize(o, nil).Apply(model, weights)
package compress
