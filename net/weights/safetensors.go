package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"firebench/kernels"
	"firebench/net/graph"
	"firebench/net/layer"
	"firebench/net/tensor"
)

// The safetensors format: https://huggingface.co/docs/safetensors. The length of the header as a
// little-endian uint64; the header, JSON that says of each tensor its type, its shape, and where its values begin
// and end behind the header; and the values, without gaps. It is read and written here because the
// libraries in Go read whole files into memory, or map them.
const (
	lengthSize  = 8
	maxHeader   = 1 << 20 // of networks with a thousand times as many layers as ours
	maxRank     = 8
	headerAlign = 8
	metadataKey = "__metadata__"
)

// The keys of the metadata that say what a model is; ONNX files have the first two as well.
const (
	keyModel        = "firebench.model"
	keyPreprocessor = "firebench.preprocessor"
	keyInput        = "firebench.input"    // height x width
	keyPadding      = "firebench.padding"  // of every convolution, as "conv1=0 conv2=1,2,1,2"
	keyRounding     = "firebench.rounding" // of the sizes of every pooling's result, as "pool1=ceil pool2=floor"
)

// An entry of the header is what it says about a tensor.
type entry struct {
	DType   string  `json:"dtype"`
	Shape   []int   `json:"shape"`
	Offsets []int64 `json:"data_offsets"` // of the first value, and behind the last
}

// isSafetensors reports whether a file begins as safetensors do.
func isSafetensors(head []byte) bool {
	return len(head) > lengthSize && binary.LittleEndian.Uint64(head) <= maxHeader && head[lengthSize] == '{'
}

// readSafetensors reads the structure of a file of size bytes. Its tensors have the names of one of
// torchvision's networks, or those that [WriteSafetensors] gives them.
func readSafetensors(r io.ReaderAt, size int64) (*tensors, error) {
	stored, metadata, err := safetensors(r, size)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(stored, func(name string, _ tensor.Stored) bool { return strings.HasPrefix(name, extraPrefix) })
	t := &tensors{arrays: map[string]array{}}
	for name, s := range stored {
		t.arrays[name] = array{s.Dims, func(r io.ReaderAt, dst []float32) ([]float32, error) {
			s.File = r
			return tensor.Load(s, dst)
		}}
	}
	if _, ok := stored["features.0.weight"]; ok && metadata[keyModel] == "" {
		return t, t.torchvision()
	}
	t.names = func(node string) (weights, bias string) { return node + ".weight", node + ".bias" }
	t.model = metadata[keyModel]
	if t.recipe, err = parseRecipe(metadata); err != nil {
		return nil, err
	}
	return t, nil
}

// safetensors reads the header of a file of size bytes.
func safetensors(r io.ReaderAt, size int64) (map[string]tensor.Stored, map[string]string, error) {
	var b [lengthSize]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return nil, nil, err
	}
	length := binary.LittleEndian.Uint64(b[:])
	if most := min(size-lengthSize, maxHeader); length > uint64(most) {
		return nil, nil, fmt.Errorf("header of %d bytes, expected at most %d", length, most)
	}
	header := make([]byte, length)
	if n, err := r.ReadAt(header, lengthSize); n < len(header) {
		return nil, nil, err
	}
	stored, metadata, err := parseHeader(header, size-lengthSize-int64(length))
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	for name, s := range stored {
		s.Offset += lengthSize + int64(length)
		stored[name] = s
	}
	return stored, metadata, nil
}

// parseHeader returns the tensors in size bytes of values, with offsets from the first of them.
func parseHeader(header []byte, size int64) (map[string]tensor.Stored, map[string]string, error) {
	stored, metadata := map[string]tensor.Stored{}, map[string]string{}
	type section struct {
		name       string
		start, end int64
	}
	var sections []section
	d := json.NewDecoder(bytes.NewReader(header))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("expected a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		name := key.(string)
		if seen[name] {
			return nil, nil, fmt.Errorf("tensor %q occurs twice", name)
		}
		seen[name] = true
		if name == metadataKey {
			if err := d.Decode(&metadata); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", metadataKey, err)
			}
			continue
		}
		var entry entry
		if err := d.Decode(&entry); err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		s := tensor.Stored{Dims: entry.Shape}
		switch {
		case len(entry.Shape) > maxRank:
			err = fmt.Errorf("%d dimensions, expected at most %d", len(entry.Shape), maxRank)
		case len(entry.Offsets) != 2:
			err = fmt.Errorf("%d offsets, expected 2", len(entry.Offsets))
		default:
			s.Offset = entry.Offsets[0]
			s.DType, err = elementType(name, entry.DType)
		}
		if err == nil {
			err = checkSection(s, entry.Offsets[1], size)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		stored[name] = s
		sections = append(sections, section{name, s.Offset, entry.Offsets[1]})
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	if rest := bytes.TrimRight(header[d.InputOffset():], " "); len(rest) > 0 {
		return nil, nil, fmt.Errorf("%d bytes behind the JSON object, expected spaces", len(rest))
	}

	slices.SortFunc(sections, func(a, b section) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	end := int64(0)
	for _, s := range sections {
		if s.start != end {
			return nil, nil, fmt.Errorf("tensor %q begins at %d, expected %d, where the one before ends", s.name, s.start, end)
		}
		end = s.end
	}
	if end != size {
		return nil, nil, fmt.Errorf("%d bytes of values, the file has %d", end, size)
	}
	return stored, metadata, nil
}

// elementType returns the type of that name, which must be one that networks are trained in, or for an [Extra] one of its
// own.
func elementType(of, name string) (tensor.DType, error) {
	t, err := tensor.ParseDType(name)
	if strings.HasPrefix(of, extraPrefix) {
		if err != nil || t != tensor.F32 && t != tensor.U8 {
			return 0, fmt.Errorf("type is %q, expected F32 or U8", name)
		}
		return t, nil
	}
	if err != nil || t != tensor.F32 && t != tensor.F16 && t != tensor.BF16 {
		return 0, fmt.Errorf("type is %q, expected F32, F16 or BF16", name)
	}
	return t, nil
}

// checkSection returns an error unless the values of s lie in size bytes and end at end.
func checkSection(s tensor.Stored, end, size int64) error {
	if s.Offset < 0 || end < s.Offset || end > size {
		return fmt.Errorf("it lies from %d to %d, expected a part of the %d bytes of values", s.Offset, end, size)
	}
	n, err := s.Elems(size)
	if err != nil {
		return err
	}
	if want := int64(n) * int64(s.DType.Size()); end-s.Offset != want {
		return fmt.Errorf("%d bytes, expected %d for %v values %s", end-s.Offset, want, s.DType, s.Shape())
	}
	return nil
}

// parseRecipe returns what the metadata says about the model.
func parseRecipe(metadata map[string]string) (recipe, error) {
	r := recipe{preprocessor: metadata[keyPreprocessor], padding: map[string]kernels.Padding{}, ceil: map[string]bool{}}
	if input, ok := metadata[keyInput]; ok {
		h, w, _ := strings.Cut(input, "x")
		var err error
		if r.height, err = parseSize(h, 1); err == nil {
			r.width, err = parseSize(w, 1)
		}
		if err != nil {
			return r, fmt.Errorf("%s is %q, expected height x width as in 224x224", keyInput, input)
		}
	}
	for _, field := range strings.Fields(metadata[keyPadding]) {
		node, value := cutLast(field)
		pad, err := parsePadding(value)
		if err != nil {
			return r, fmt.Errorf("%s has %q, expected as in conv1=0 or conv2=1,2,1,2", keyPadding, field)
		}
		r.padding[node] = pad
	}
	for _, field := range strings.Fields(metadata[keyRounding]) {
		node, value := cutLast(field)
		if value != roundUp && value != roundDown {
			return r, fmt.Errorf("%s has %q, expected as in pool1=%s or pool2=%s", keyRounding, field, roundUp, roundDown)
		}
		r.ceil[node] = value == roundUp
	}
	return r, nil
}

// The values of keyRounding.
const (
	roundUp   = "ceil"
	roundDown = "floor"
)

// cutLast cuts node=value; only the node may have more of these characters.
func cutLast(field string) (node, value string) {
	at := strings.LastIndexByte(field, '=')
	return field[:max(at, 0)], field[at+1:]
}

// parsePadding is the inverse of kernels.Padding.String.
func parsePadding(s string) (pad kernels.Padding, err error) {
	var n []int
	for part := range strings.SplitSeq(s, ",") {
		v, err := parseSize(part, 0)
		if err != nil {
			return pad, err
		}
		n = append(n, v)
	}
	switch len(n) {
	case 1:
		return kernels.Pad(n[0]), nil
	case 4:
		return kernels.Padding{Top: n[0], Left: n[1], Bottom: n[2], Right: n[3]}, nil
	}
	return pad, errors.New("expected one number or four")
}

// parseSize returns a number of pixels.
func parseSize(s string, least int) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && int(n) < least {
		err = errors.New("too small")
	}
	return int(n), err
}

// WriteSafetensors writes the weights of a model, adapted to them as [graph.Compile] adapts it, as
// float32. The tensors are node.weight, O×I×KH×KW or for a dense layer O×CHW, and node.bias, O, as
// PyTorch would have them. The metadata says what else [Open] must know to give the same network: the
// model's name, its preprocessor, the size of the input, the padding of the convolutions, and how
// poolings round.
//
// Equal models and weights give equal bytes. The weights of one layer at a time are in memory. They must
// not be quantized: the format has no place for scales.
func WriteSafetensors(w io.Writer, m *graph.Model, weights graph.Weights) error {
	return WriteWithExtra(w, m, weights, Extra{})
}

// WriteWithExtra is [WriteSafetensors] for a file that holds more than the weights.
func WriteWithExtra(w io.Writer, m *graph.Model, weights graph.Weights, extra Extra) error {
	fail := func(err error) error { return fmt.Errorf("safetensors: %s: %w", m.Name, err) }
	m, err := weights.Adapt(m)
	if err != nil {
		return err
	}
	params, err := m.Params()
	if err != nil {
		return err
	}
	header, err := newHeader(m, params, extra)
	if err != nil {
		return fail(err)
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	if _, err := w.Write(append(b, header...)); err != nil {
		return err
	}
	for _, p := range params {
		l, err := weights.Layer(p)
		if err != nil {
			return fail(err)
		}
		bias := biasOf(l, p)
		if err := checkLayer(l, bias, p); err != nil {
			return fail(fmt.Errorf("layer %s: %w", p.Node, err))
		}
		for _, values := range [][]float32{l.Values, bias} {
			if err := writeFloats(w, values); err != nil {
				return err
			}
		}
	}
	return extra.write(w)
}

// writeFloats writes the bytes of values.
func writeFloats(w io.Writer, values []float32) error {
	var b []byte
	for part := range slices.Chunk(values, 1<<14) {
		b, _ = binary.Append(b[:0], binary.LittleEndian, part) // it fails on types without a size
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// biasOf returns the biases of a layer, which are 0 where it has none.
func biasOf(l kernels.Weights, p graph.Param) []float32 {
	if l.Bias == nil {
		return make([]float32, p.Dims[0])
	}
	return l.Bias
}

// checkLayer returns an error for weights that the reader would refuse.
func checkLayer(l kernels.Weights, bias []float32, p graph.Param) error {
	switch {
	case l.Scales != nil:
		return errors.New("its weights are quantized, expected float32")
	case len(l.Values) != size(p) || len(bias) != p.Dims[0]:
		return fmt.Errorf("%d weights and %d biases, expected %d and %d", len(l.Values), len(bias), size(p), p.Dims[0])
	case zeros(l.Values):
		return errors.New("all weights are zero")
	}
	if err := finite(l.Values); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	if err := finite(bias); err != nil {
		return fmt.Errorf("biases: %w", err)
	}
	return nil
}

// newHeader returns the header of a file with these layers.
func newHeader(m *graph.Model, params []graph.Param, extra Extra) ([]byte, error) {
	dense := map[string]bool{}
	var padding, rounding []string
	round := func(node string, ceil bool) {
		how := roundDown
		if ceil {
			how = roundUp
		}
		rounding = append(rounding, node+"="+how)
	}
	for _, n := range m.Nodes {
		switch l := n.Layer.(type) {
		case layer.Conv:
			padding = append(padding, fmt.Sprintf("%s=%v", n.Name, l.Pad))
		case layer.MaxPool:
			round(n.Name, l.Ceil)
		case layer.AvgPool:
			round(n.Name, l.Ceil)
		case layer.Dense:
			dense[n.Name] = true
		}
	}
	header := appendJSON([]byte{'{'}, metadataKey)
	header = append(header, ':')
	metadata := map[string]string{
		keyModel:        m.Name,
		keyPreprocessor: m.Preprocessor,
		keyInput:        fmt.Sprintf("%dx%d", m.Input.H, m.Input.W),
		keyPadding:      strings.Join(padding, " "),
		keyRounding:     strings.Join(rounding, " "),
	}
	for key, value := range extra.Metadata {
		metadata[extraPrefix+key] = value
	}
	header = appendJSON(header, metadata)
	at := int64(0)
	add := func(name string, t tensor.DType, dims ...int) {
		end := int64(t.Size())
		for _, d := range dims {
			end *= int64(d)
		}
		end += at
		header = appendJSON(append(header, ','), name)
		header = appendJSON(append(header, ':'), entry{t.String(), dims, []int64{at, end}})
		at = end
	}
	for _, p := range params {
		dims := p.Dims[:]
		if dense[p.Node] {
			dims = []int{p.Dims[0], p.Dims[1] * p.Dims[2] * p.Dims[3]}
		}
		add(p.Node+".weight", tensor.F32, dims...)
		add(p.Node+".bias", tensor.F32, p.Dims[0])
	}
	for _, name := range slices.Sorted(maps.Keys(extra.Floats)) {
		add(extraPrefix+floatsPrefix+name, tensor.F32, len(extra.Floats[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(extra.Bytes)) {
		add(extraPrefix+bytesPrefix+name, tensor.U8, len(extra.Bytes[name]))
	}
	header = append(header, '}')
	for len(header)%headerAlign != 0 {
		header = append(header, ' ')
	}
	if len(header) > maxHeader {
		return nil, fmt.Errorf("header of %d bytes, expected at most %d", len(header), maxHeader)
	}
	return header, nil
}

// appendJSON appends v, which is nothing that JSON cannot express.
func appendJSON(b []byte, v any) []byte {
	encoded, _ := json.Marshal(v)
	return append(b, encoded...)
}
