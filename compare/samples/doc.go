// Package samples reads benchmark files of this suite: it pools the samples of each
// benchmark, by network, part, instruction set, threads, batch, algorithm, zeros and pass of training, and tells
// machines and commits apart. The tables that are made from them are in
// firebench/compare/report.
package samples
