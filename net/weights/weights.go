// Package weights provides the parameters of networks: seeded random ones for
// benchmarks and tests, and readers of published files.
package weights

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/onnx"
	"firebench/net/protobuf"
)

// Open reads a file of weights. Its content tells the format, its name does not:
//
//   - safetensors, with the names of torchvision's squeezenet1_0, squeezenet1_1 or alexnet, or with those that
//     [WriteSafetensors] writes, for any model
//   - a .caffemodel of the published SqueezeNet v1.0, v1.1 or residual SqueezeNet, or of AlexNet
//   - ONNX, for every model with the same layers, see [onnx.Open]
//   - the compressed file of [ReadDeepCompression]
//   - FBW, which [WriteFBW] writes, for any model
//
// The weights fit the model that they were trained for and no other; their Adapt gives it the
// preprocessor, the size of the input, the padding and the rounding of sizes that they were trained with.
// Only the compressed file is read at once. Of the others Open reads the structure, and Layer the values
// of a layer; what Layer returns is valid until its next call. The Weights must not be used by several
// goroutines at once.
//
// Tensors that are missing, surplus or of another shape than their layer's, values that are not finite,
// and weights that are all zero are errors: of Open if the file says which network it is for, else of
// Adapt, and of Layer what the values alone tell. Errors name the file, what was found and what was
// expected.
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
	kind, err := formatOf(f, info.Size())
	if err != nil {
		return nil, files.Error(path, err)
	}
	var t *tensors
	switch kind {
	case deepCompressionFormat:
		return ReadDeepCompression(path)
	case onnxFormat:
		_, w, err := onnx.Open(path)
		return w, err
	case safetensorsFormat:
		t, err = readSafetensors(f, info.Size())
	case fbwFormat:
		t, err = readFBW(f, info.Size())
	case caffeFormat:
		t, err = readCaffemodel(f, info.Size())
	}
	if err != nil {
		return nil, files.Error(path, fmt.Errorf("%s: %w", kind, err))
	}
	t.path, t.info = path, info
	return t, nil
}

// A format of files of weights, by its name in messages.
type format string

const (
	safetensorsFormat     format = "safetensors"
	caffeFormat           format = "caffemodel"
	onnxFormat            format = "ONNX"
	deepCompressionFormat format = "compressed " + dcModel
	fbwFormat             format = "FBW"
)

// headSize is how much of a file of unknown format is shown.
const headSize = 16

// formatOf returns the format of a file of size bytes.
func formatOf(r io.ReaderAt, size int64) (format, error) {
	head := make([]byte, headSize)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	head = head[:n]
	if n == 0 {
		return "", errors.New("empty")
	}
	if isSafetensors(head) {
		return safetensorsFormat, nil
	}
	if isFBW(head) {
		return fbwFormat, nil
	}
	// A file with hundreds of thousands of bytes that are explained to the last is no message.
	notCompressed := checkDeepCompression(r, size)
	if notCompressed == nil {
		return deepCompressionFormat, nil
	}
	if kind := messageFormat(protobuf.NewMessage(r, size)); kind != "" {
		return kind, nil
	}
	hint := ""
	switch {
	case strings.HasPrefix(string(head), "PK\x03\x04"), strings.HasPrefix(string(head), "\x80\x02"):
		hint = ", as PyTorch's own files do, which should be saved as safetensors"
	case strings.HasPrefix(string(head), "\x89HDF"):
		hint = ", as HDF5 does"
	}
	return "", fmt.Errorf("unknown format: it starts with %q%s, expected %s, %s, %s, %s or %s (%w)", head, hint,
		safetensorsFormat, caffeFormat, onnxFormat, fbwFormat, deepCompressionFormat, notCompressed)
}

// messageFormat returns the format of a message of one of the two kinds that are known, or "". A file that has been cut
// off has a format as well, by the fields before its end.
func messageFormat(m protobuf.Message) format {
	// An ONNX model begins with its version, a number, and has its graph in field 7. A network of Caffe
	// has in its place a name, and a number; its layers are fields 2 or 100. Field 2 of an ONNX model is a name.
	version, layers := false, false
	for f, err := range m.Fields() {
		if err != nil || !slices.Contains(messageFields, int(f.Number)) {
			break
		}
		_, notMessage := f.Message()
		_, notNumber := f.Varint()
		switch {
		case f.Number == 7 && notMessage == nil:
			return onnxFormat
		case f.Number == netLayers && notMessage == nil:
			return caffeFormat
		case f.Number == 1 && notNumber == nil:
			version = true
		case f.Number == netV1Layers && notMessage == nil:
			layers = true
		}
	}
	switch {
	case version:
		return onnxFormat
	case layers:
		return caffeFormat
	}
	return ""
}

// messageFields are the numbers of the fields of both.
var messageFields = []int{1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26, netLayers}
