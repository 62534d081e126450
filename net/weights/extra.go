package weights

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/tensor"
)

// An Extra is what a safetensors file can hold besides the weights of a model, such as the state of its training. [Open]
// takes no notice of it. The keys are any text.
type Extra struct {
	Metadata map[string]string
	Floats   map[string][]float32
	Bytes    map[string][]byte
}

// Names in the file begin so. No tensor of a layer has such a name, as no node's name has a slash.
const (
	extraPrefix  = "extra/"
	floatsPrefix = "floats/"
	bytesPrefix  = "bytes/"
)

// write writes the values, in the order of the header.
func (e Extra) write(w io.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(e.Floats)) {
		if err := writeFloats(w, e.Floats[name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.Bytes)) {
		if _, err := w.Write(e.Bytes[name]); err != nil {
			return err
		}
	}
	return nil
}

// OpenWithExtra is [Open] for a safetensors file, and reads what [WriteWithExtra] wrote besides the weights.
func OpenWithExtra(path string) (graph.Weights, Extra, error) {
	fail := func(err error) (graph.Weights, Extra, error) { return nil, Extra{}, files.Error(path, err) }
	w, err := Open(path)
	if err != nil {
		return nil, Extra{}, err
	}
	t, ok := w.(*tensors)
	if !ok {
		return fail(fmt.Errorf("expected %s", safetensorsFormat))
	}
	f, err := t.open()
	if err != nil {
		return nil, Extra{}, err
	}
	defer f.Close()
	stored, metadata, err := safetensors(f, t.info.Size())
	if err != nil {
		return fail(fmt.Errorf("%s: %w", safetensorsFormat, err))
	}
	e := Extra{map[string]string{}, map[string][]float32{}, map[string][]byte{}}
	for key, value := range metadata {
		if key, ok := strings.CutPrefix(key, extraPrefix); ok {
			e.Metadata[key] = value
		}
	}
	for full, s := range stored {
		rest, ok := strings.CutPrefix(full, extraPrefix)
		if !ok {
			continue
		}
		s.File = f
		if name, ok := strings.CutPrefix(rest, floatsPrefix); ok && s.DType == tensor.F32 {
			e.Floats[name], err = tensor.Load[float32](s, nil)
		} else if name, ok := strings.CutPrefix(rest, bytesPrefix); ok && s.DType == tensor.U8 {
			n, _ := s.Elems(t.info.Size()) // the header has been checked
			b := make([]byte, n)
			_, err = io.ReadFull(io.NewSectionReader(f, s.Offset, int64(n)), b)
			e.Bytes[name] = b
		} else {
			err = fmt.Errorf("tensor %q: unknown, of type %v", full, s.DType)
		}
		if err != nil {
			return fail(err)
		}
	}
	return w, e, nil
}
