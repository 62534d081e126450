package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"firebench/kernels"
	"firebench/net/files"
	"firebench/net/graph"
	"firebench/net/models"
)

// The format is that of the "Deep Compression" file (Han et al., https://arxiv.org/abs/1510.00149)
// which was published for SqueezeNet v1.0. Two thirds of its weights were pruned to zero, and
// the remaining third was rounded to 256 values per layer. All numbers are little-endian.
// First comes the number of stored weights of each layer as a uint32, in the order of
// the network. Then follows, for each layer with n stored weights:
//
//	256 float32    the codebook, the values that a weight can have; entry 0 is 0
//	out float32    the biases
//	n bytes        the codes: for each stored weight its entry in the codebook
//	⌈n/2⌉ bytes    the gaps: how many weights before each stored one are zero and
//	               not stored, 0 to 15, two to a byte, the first in the low half
//
// Where more than 15 weights in a row are zero, every sixteenth is stored as a filler:
// code 0 with gap 15. The file names neither its format nor its model. So that no file of another
// kind is read as weights, every rule above is checked.
const (
	codes  = 256 // entries in a codebook
	maxGap = 15
)

const dcModel = "squeezenet1.0"

// ReadDeepCompression reads the published compressed SqueezeNet v1.0 file. The
// model that it was trained for pads the last convolution; see Adapt.
//
// The weights fit the model squeezenet1.0 and no other. A file is refused that is too
// short or too long, that has values which are not finite, weights behind a layer's
// end, or a layer of zeros; the error names the file, the layer, what was found and
// what was expected.
func ReadDeepCompression(path string) (graph.Weights, error) {
	m, params, err := dcTable()
	if err != nil {
		return nil, err
	}
	limit := 0
	for _, p := range params {
		limit += 4 + storedSize(p, size(p))
	}
	data, err := files.Read(path, int64(limit))
	if err != nil {
		return nil, err
	}
	layers, err := decode(data, params)
	if err != nil {
		return nil, fmt.Errorf("%s: not a compressed %s: %w", path, dcModel, err)
	}
	return &deepCompression{path: path, model: m, layers: layers}, nil
}

// dcTable returns the model and its parameters.
func dcTable() (*graph.Model, []graph.Param, error) {
	m, err := models.Lookup(dcModel)
	if err != nil {
		return nil, nil, err
	}
	params, err := m.Params()
	return m, params, err
}

// checkDeepCompression returns an error if the numbers at the start of a file of length bytes do not explain its
// length. No other sign tells the format.
func checkDeepCompression(r io.ReaderAt, length int64) error {
	_, params, err := dcTable()
	if err != nil {
		return err
	}
	start := make([]byte, 4*len(params))
	n, err := r.ReadAt(start, 0)
	if err != nil && err != io.EOF {
		return err
	}
	_, err = storedWeights(start[:n], length, params)
	return err
}

type deepCompression struct {
	path   string
	model  *graph.Model  // the table
	layers []sharedLayer // one per parameter of the model
	values []float32     // of the layer that was asked for last
}

// A sharedLayer is a layer whose weights share few values.
type sharedLayer struct {
	param    graph.Param
	codebook []float32 // entry 0 is 0
	codes    []uint8   // of all weights, zeros included: their entries in the codebook
	bias     []float32
}

// dcRecipe is what the weights were trained with: a pad of 1 on the last convolution, unlike in the
// paper's table.
var dcRecipe = recipe{preprocessor: "caffe-bgr-227", padding: map[string]kernels.Padding{"conv10": kernels.Pad(1)}}

// Adapt returns m with a pad of 1 on the last convolution and the preprocessor
// that the weights were trained with. Other models than squeezenet1.0 are an error.
func (d *deepCompression) Adapt(m *graph.Model) (*graph.Model, error) {
	adapted, err := dcRecipe.adapt(m, d.model)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	return adapted, nil
}

// Layer implements graph.Weights.
func (d *deepCompression) Layer(p graph.Param) (kernels.Weights, error) {
	l, ok := d.layer(p)
	if !ok {
		return kernels.Weights{}, fmt.Errorf("%s: %s has no layer %s with weights %v", d.path, dcModel, p.Node, p.Dims)
	}
	d.values = resize(d.values, len(l.codes))
	for i, c := range l.codes {
		d.values[i] = l.codebook[c]
	}
	return kernels.Weights{Values: d.values, Bias: l.bias}, nil
}

// Codebook implements [graph.Shared].
func (d *deepCompression) Codebook(p graph.Param) (codebook []float32, codes []uint8, ok bool) {
	l, ok := d.layer(p)
	return l.codebook, l.codes, ok
}

func (d *deepCompression) layer(p graph.Param) (l sharedLayer, ok bool) {
	i := slices.IndexFunc(d.layers, func(l sharedLayer) bool { return l.param == p })
	if i < 0 {
		return l, false
	}
	return d.layers[i], true
}

// size returns the number of weights of a layer, zeros included.
func size(p graph.Param) int { return p.Dims[0] * p.Dims[1] * p.Dims[2] * p.Dims[3] }

// storedSize returns the number of bytes of a layer with n stored weights. The number n itself,
// at the start of the file, does not count.
func storedSize(p graph.Param, n int) int { return 4*codes + 4*p.Dims[0] + n + (n+1)/2 }

// storedWeights returns how many weights of each layer are stored, by the start of a file of length
// bytes for a model with these parameters. It fails if they do not explain the size.
func storedWeights(start []byte, length int64, params []graph.Param) ([]int, error) {
	want := 4 * len(params)
	if len(start) < want {
		return nil, fmt.Errorf("%d bytes, expected %d for the number of weights of each layer alone", len(start), want)
	}
	stored := make([]int, len(params))
	for i, p := range params {
		n := binary.LittleEndian.Uint32(start[4*i:])
		if n == 0 {
			return nil, fmt.Errorf("layer %s: all weights are zero", p.Node)
		}
		if uint64(n) > uint64(size(p)) {
			return nil, fmt.Errorf("layer %s: %d stored weights, expected at most %d", p.Node, n, size(p))
		}
		stored[i] = int(n)
		want += storedSize(p, stored[i])
	}
	if length != int64(want) {
		return nil, fmt.Errorf("%d bytes, expected %d by the numbers of weights at its start", length, want)
	}
	return stored, nil
}

// decode returns the layers of a file, whose content is data, for a model with these
// parameters.
func decode(data []byte, params []graph.Param) ([]sharedLayer, error) {
	if len(data) == 0 {
		return nil, errors.New("empty")
	}
	stored, err := storedWeights(data, int64(len(data)), params)
	if err != nil {
		return nil, err
	}
	data = data[4*len(params):]
	layers := make([]sharedLayer, len(params))
	for i, p := range params {
		n := storedSize(p, stored[i])
		l, err := decodeLayer(data[:n], p, stored[i])
		if err != nil {
			return nil, fmt.Errorf("layer %s: %w", p.Node, err)
		}
		layers[i] = l
		data = data[n:]
	}
	return layers, nil
}

// decodeLayer decodes the storedSize(p, n) bytes of a layer.
func decodeLayer(data []byte, p graph.Param, n int) (sharedLayer, error) {
	codebook, data, err := floats(data, codes, "codebook entry")
	if err != nil {
		return sharedLayer{}, err
	}
	if codebook[0] != 0 {
		return sharedLayer{}, fmt.Errorf("codebook entry 0 is %g, expected 0", codebook[0])
	}
	bias, data, err := floats(data, p.Dims[0], "bias")
	if err != nil {
		return sharedLayer{}, err
	}
	l := sharedLayer{p, codebook, make([]uint8, size(p)), bias}
	stored, gaps := data[:n], data[n:] // the stored weights' codes and gaps
	at := -1                           // place of the last stored weight in the layer
	zeros := true
	for i, code := range stored {
		gap := int(gaps[i/2]>>(4*(i%2))) & maxGap
		if at += gap + 1; at >= len(l.codes) {
			return sharedLayer{}, fmt.Errorf("weight %d of the %d stored has the place %d in the layer, expected less than %d", i, n, at, len(l.codes))
		}
		if code == 0 && gap != maxGap {
			return sharedLayer{}, fmt.Errorf("weight %d of the %d stored is zero with gap %d, expected a gap of %d", i, n, gap, maxGap)
		}
		l.codes[at] = code
		zeros = zeros && codebook[code] == 0
	}
	if last := gaps[len(gaps)-1] >> 4; n%2 == 1 && last != 0 {
		return sharedLayer{}, fmt.Errorf("unused gap at the end is %d, expected 0", last)
	}
	if zeros {
		return sharedLayer{}, errors.New("all weights are zero")
	}
	return l, nil
}

// floats decodes n finite values and returns what follows them.
func floats(data []byte, n int, what string) (s []float32, rest []byte, err error) {
	s = make([]float32, n)
	for i := range s {
		s[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		if v := float64(s[i]); math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, nil, fmt.Errorf("%s %d is %g, expected a finite value", what, i, v)
		}
	}
	return s, data[4*n:], nil
}

// WriteDeepCompression writes the weights of squeezenet1.0 as [ReadDeepCompression] reads them. No layer may have more
// than 255 values besides 0. The codebooks are those of weights that are [graph.Shared], else the
// values in ascending order.
//
// The format says nothing about the network: the weights' Adapt must give the one that Adapt of the reader gives.
func WriteDeepCompression(w io.Writer, m *graph.Model, weights graph.Weights) error {
	fail := func(err error) error { return fmt.Errorf("compressed %s: %w", dcModel, err) }
	network, params, err := dcTable()
	if err != nil {
		return err
	}
	if m, err = weights.Adapt(m); err != nil {
		return err
	}
	want := dcRecipe.apply(network)
	if at, ok := difference(m.Nodes, want.Nodes); ok {
		return fail(fmt.Errorf("the format has no place for the model %s, which differs from %q on", m.Name, at))
	}
	if m.Preprocessor != want.Preprocessor || m.Input != want.Input {
		return fail(fmt.Errorf("preprocessor %q makes an input of %v, the format has place for %q and %v only", m.Preprocessor, m.Input, want.Preprocessor, want.Input))
	}
	var counts, layers []byte // the counts come first, and are known last
	for _, p := range params {
		l, err := shareLayer(weights, p)
		if err != nil {
			return fail(fmt.Errorf("layer %s: %w", p.Node, err))
		}
		var n int
		layers, n = appendLayer(layers, l)
		counts = binary.LittleEndian.AppendUint32(counts, uint32(n))
	}
	_, err = w.Write(append(counts, layers...))
	return err
}

// shareLayer returns a layer with its codebook.
func shareLayer(weights graph.Weights, p graph.Param) (l sharedLayer, err error) {
	w, err := weights.Layer(p)
	if err != nil {
		return l, err
	}
	l = sharedLayer{param: p, bias: biasOf(w, p)}
	if err := checkLayer(w, l.bias, p); err != nil {
		return l, err
	}
	if s, ok := graph.SharedOf(weights); ok {
		if l.codebook, l.codes, ok = s.Codebook(p); ok {
			return l, l.check(w.Values)
		}
	}
	values, ok := distinct(w.Values, codes-1)
	if !ok {
		return l, fmt.Errorf("more than %d values besides 0", codes-1)
	}
	l.codebook = append([]float32{0}, values...)
	entries := entriesOf(l.codebook)
	l.codes = make([]uint8, len(w.Values))
	for i, v := range w.Values {
		l.codes[i] = entries[math.Float32bits(v)]
	}
	return l, nil
}

// check returns an error unless the codebook and the codes of l give these values.
func (l sharedLayer) check(values []float32) error {
	if len(l.codebook) < 1 || len(l.codebook) > codes || !isZero(l.codebook[0]) {
		return fmt.Errorf("codebook of %d values, expected 1 to %d, of which the first is 0", len(l.codebook), codes)
	}
	if len(l.codes) != len(values) {
		return fmt.Errorf("%d codes, expected %d", len(l.codes), len(values))
	}
	for i, c := range l.codes {
		if int(c) >= len(l.codebook) || math.Float32bits(l.codebook[c]) != math.Float32bits(values[i]) {
			return fmt.Errorf("weight %d has code %d, which is not its value in the codebook, %g", i, c, values[i])
		}
	}
	return nil
}

// appendLayer appends a layer as a file has it, and returns how many weights it stores.
func appendLayer(b []byte, l sharedLayer) (_ []byte, n int) {
	var stored, gaps []byte
	gap := 0
	for _, c := range l.codes {
		switch {
		case c != 0:
			stored, gaps = append(stored, c), append(gaps, byte(gap))
			gap = 0
		case gap == maxGap:
			stored, gaps = append(stored, 0), append(gaps, maxGap)
			gap = 0
		default:
			gap++
		}
	}
	// No filler is needed where no weight follows.
	for len(stored) > 0 && stored[len(stored)-1] == 0 {
		stored, gaps = stored[:len(stored)-1], gaps[:len(gaps)-1]
	}
	n = len(stored)
	var codebook [codes]float32
	copy(codebook[:], l.codebook)
	for _, v := range slices.Concat(codebook[:], l.bias) {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	b = append(b, stored...)
	for i := 0; i < n; i += 2 {
		pair := gaps[i]
		if i+1 < n {
			pair |= gaps[i+1] << 4
		}
		b = append(b, pair)
	}
	return b, n
}
