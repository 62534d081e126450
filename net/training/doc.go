// Package training trains the networks of package graph by stochastic gradient descent, on the same kernels that
// run them. [Backward] adds the gradients to a model, as nodes like any other; a [Trainer] runs the result on batches
// of pictures and changes its [Params]; a [Checkpoint] is a run on disk, which continues as if it had not stopped.
//
// Everything is deterministic: the same seed, data and options give the same bits, at any number of threads.
package training
