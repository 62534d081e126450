// Package kernels is the only door to Firebench's assembly: the compute kernels of small
// convolutional networks, generated for each instruction set, and the loops that compute whole
// layers with them.
//
// An operation is bound once and run often. A Bind function ([BindMaxPool], [BindAdd], …) takes
// the kernels of an instruction set, as a [Set], and the views of destination and sources; it
// checks them and returns a [workers.Task], which a [workers.Pool] runs. A convolution is packed
// first, by [NewConv], and then bound by [Conv]'s Bind.
//
// # Values
//
// Values are in NHWC order: channels last, so that the K·C inputs in a row of a K×K window are one
// contiguous run. A [View] describes a value in memory: its shape, its strides, and its [Type],
// which is how its numbers are stored and, where they are quantized, their scale and zero point.
//
// # Convolutions
//
// A [Problem] is a convolution of images of a certain size. [Algorithms] lists the algorithms;
// those that can compute a problem are its [Candidates], and [Pick] estimates which of them is the
// fastest. [NewConv] takes the weights in the order OIHW (output channel, input channel of the
// group, kernel row, kernel column), which is that of Caffe, ONNX and PyTorch, and packs them for
// an algorithm into panels, one for each block of output channels that a tile computes. The direct
// algorithm's panels are [k/group][tile width][group], where k runs over (kernel row, kernel column,
// input channel); the group is 1 for float32, see [Tiles].
//
// # Padding
//
// A convolution reads its padding from memory: its source has a halo of at least
// [ConvShape.Halo] pixels on all four sides, which holds zeros (the zero point, if values are
// quantized). The task that writes the source fills its halo, on each run, because memory
// is used again for other values. A task whose destination is a partial view, see [View.Rows],
// leaves the halo alone; [BindHalo] fills it. Pooling does not read the halo: it clips its
// windows to the image.
//
// # Aliasing
//
// A destination must not overlap a source, except that [BindReLU], [BindAdd], [BindMul] and
// [BindReLUGradient] may work in place: their destination may be the same view as a source.
//
// # Rounding
//
// In the direct algorithm, each output is one chain of fused multiply-adds over k that starts at
// the bias. Its bits therefore do not depend on the tile, the thread count or the instruction
// set: AVX2, AVX-512 and NEON agree bit for bit. The scalar kernels round each product, too,
// because Go has no fused multiply-add for float32. All of them are within γ(k+2)·(|bias| +
// Σ|a·b|) of the exact sum of k products, γ(n) = n·u / (1 - n·u), u = 2⁻²⁴.
//
// The algorithms that skip weights of zero have the chains of the direct one without them. What is left out adds
// zero, so the bits are the same, but for the sign of an output of zero, and for inputs that are no finite number: zero
// times one of those would be NaN.
//
// Winograd's algorithm rounds in another order, which is fixed as well: AVX2 and AVX-512 agree bit
// for bit, at any thread count. [WinogradBound] bounds its error.
//
// Weights of another [WeightsType] than float32 are rounded once, when they are packed. Each output is
// then such a chain, over the weights' integers or float16 values, which starts at 0; one multiply-add
// more multiplies it by the channel's scale and adds the bias. A batch of images gives the bits of each alone.
//
// The gradient of a convolution's weights is a sum over all pixels of a batch, in slices whose number depends on the problem
// alone: see [BindWeightGradient].
//
// Quantized values are exact: their sums are integers, and each result is rounded once, half to even.
// All instruction sets and all algorithms give the same bits.
//
// A NaN among an output's inputs or weights makes the output NaN, through ReLU as well. Maximum
// pooling keeps a NaN that is the first element of a window, and may ignore one elsewhere; where
// zeros of both signs are the maximum, either may be the result.
//
// # Gradients
//
// Training needs the gradient of each operation's input, given that of its result. Most have a task of their
// own, such as [BindMaxPoolGradient]. That of a convolution's input is another convolution, see
// [ConvShape.Transposed], of the gradient that [BindDilate] has dilated where the stride is not 1. The weights of
// a [Loader] change from step to step. All gradients have the same bits on any number of threads.
//
// # Concurrency
//
// A [Conv] is immutable, unless it is a [Loader]. A [workers.Task] has scratch memory of its own: it
// must not run twice at the same time. Kernels never block and never call back. Go's scheduler cannot interrupt assembly,
// so one call of a kernel is short: it takes microseconds.
//
// # Instruction sets
//
// [Supported] returns the instruction sets that the processor, the environment (FIREBENCH_ISA,
// GODEBUG=cpu.…) and the build allow, and [For] returns the kernels of one. Builds with the tag
// purego have the scalar kernels only, as have architectures without generated kernels.
package kernels
