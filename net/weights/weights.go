// Package weights provides the parameters of networks: seeded random ones for
// benchmarks and tests, and readers of published files.
package weights

import "firebench/net/graph"

// Open reads a weights file. One format is known so far, that of
// [ReadDeepCompression]; errors name the file.
func Open(path string) (graph.Weights, error) { return ReadDeepCompression(path) }
