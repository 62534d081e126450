// Package weights provides the parameters of networks: seeded random ones for
// benchmarks and tests, and readers of published files.
package weights

import (
	"io"

	"firebench/net/files"
	"firebench/net/graph"
)

// Open reads a file of weights. Its content tells the format, its name does not.
func Open(path string) (graph.Weights, error) {
	f, err := files.Open(path, maxFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, files.Error(path, err)
	}
	head := make([]byte, 16)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, files.Error(path, err)
	}
	if isSafetensors(head[:n]) {
		t, err := readSafetensors(f, info.Size())
		if err != nil {
			return nil, files.Error(path, err)
		}
		t.path, t.info = path, info
		return t, nil
	}
	return ReadDeepCompression(path)
}
