// Package compression makes networks smaller and faster: its rewrites, see [graph.Rewrite], turn a model
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
//	c, err := compression.Calibrate(model, weights, compression.Default, pictures, graph.Options{})
//	model, weights, err = compression.Quantize(c, compression.Options{}).Apply(model, weights)
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
//	o := compression.FactorizeOptions{Ranks: map[string]compression.Rank{"fc6": {N: 1024}, "fc7": {N: 256}}}
//	model, weights, err = compression.Factorize(o, nil).Apply(model, weights)
//
// # Pruning
//
// [Prune] makes small weights zero: single ones, or rows of the kernels' panels, which kernels skip. The mask is the zeros of the
// weights; [NewMask] keeps it for training. [Scan] says how much of each layer can be pruned.
//
// # Sharing
//
// [Share] gives the weights of a layer few values, so that a file has a short code for each. Without images
// that is k-means, as in Deep Compression. With images, values and codes are chosen so that the layers' outputs
// change least, and so that all layers together fit a budget of bytes:
//
//	model, weights, err = compression.Share(compression.ShareOptions{Bytes: 470_000, Images: pictures}).Apply(model, weights)
//	books, ok := graph.SharedOf(weights)
//
// [weights.StreamsOf] says what each layer takes in a file.
package compression
