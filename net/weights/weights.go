// Package weights provides the parameters of networks: seeded random ones for
// benchmarks and tests, and readers of published files.
package weights

import "firebench/net/graph"

// Open reads a file of weights. Its content tells the format, its name does not. One
// format is known so far, that of [ReadDeepCompression]. Errors name the file, what was
// found and what was expected.
func Open(path string) (graph.Weights, error) { return ReadDeepCompression(path) }
