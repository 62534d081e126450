// Package kernels is the only door to Firebench's assembly: the compute kernels
// of small convolutional networks, generated per instruction set, and the loops
// that tile whole layers with them.
//
// # Layout
//
// Activations are NHWC float32: channels last, so that a pixel row of a K×K
// window is one contiguous run of K·C values. A [View] is a strided window onto
// such memory. Weights come in as OIHW (output, input/groups, kernel row, kernel
// column), the order of Caffe, ONNX and PyTorch, and are packed once, when a
// layer is built, into panels: [output block][k][tile width], k running over
// (kernel row, kernel column, input channel).
//
// # Padding
//
// A convolution reads its padding from memory: its source View has a halo of at
// least Pad pixels of zeros on all four sides, written by whoever produces the
// source. Every [workers.Task] whose destination has a halo zeroes that halo on each run,
// because arenas reuse memory, unless the destination is a window of rows (see
// [View.Rows]): its halo belongs to the whole. Pooling never reads the halo; it clips
// windows.
//
// # Aliasing
//
// A destination must not overlap a source, except that [BindReLU] and [BindAdd]
// may work in place on identical views.
//
// # Rounding
//
// In the direct algorithm each output is one chain of fused multiply-adds over k
// that starts at the bias. Its result therefore does not depend on the tile, the
// thread count or the instruction set: AVX2, AVX-512 and NEON agree bit for bit.
// The scalar kernels round the product as well, because Go has no float32 fused
// multiply-add; they agree within the bound eps·(k+2)·Σ|a·b|.
//
// Winograd convolutions round differently, in a fixed order as well: AVX2 and AVX-512
// agree bit for bit, at any thread count; [WinogradBound] bounds the error.
//
// NaN in a product reaches the output, through ReLU as well. Maximum pooling
// keeps a NaN that is the window's first value and may drop one elsewhere; it may
// also differ in the sign of zero.
//
// # Concurrency
//
// A [Conv] is immutable. A [workers.Task] owns scratch memory: one Run at a time. [workers.Pool]
// splits a task into chunks; kernels never block and never call back, and one
// call is short enough (microseconds) for the scheduler, which cannot preempt
// assembly.
//
// # Instruction sets
//
// [Supported] asks cpuid, the environment (FIREBENCH_ISA, GODEBUG=cpu.…) and the
// build; the tag purego leaves only the scalar kernels, as do architectures
// without generated ones.
package kernels
