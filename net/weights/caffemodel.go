package weights

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"firebench/kernels"
	"firebench/net/layer"
	"firebench/net/models"
	"firebench/net/protobuf"
	"firebench/net/tensor"
)

// A .caffemodel is a message NetParameter. Its layers are LayerParameters or, in the older form,
// V1LayerParameters: https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto. These are the
// numbers of the fields that matter here.
const (
	netName     = 1
	netV1Layers = 2
	netLayers   = 100

	blobData, blobDouble = 5, 8
	blobShape            = 7 // instead of the four dimensions, fields 1 to 4, of old files
	shapeDim             = 1

	convPad, convPadH, convPadW          = 3, 9, 10
	convStride, convStrideH, convStrideW = 6, 13, 14
	convGroup                            = 5
	convDilation                         = 18
)

// layerFields are the numbers of a layer's fields, which differ between the two forms.
type layerFields struct{ name, typ, blobs, convolution int }

var (
	v2Fields = layerFields{name: 1, typ: 2, blobs: 7, convolution: 106}
	v1Fields = layerFields{name: 4, typ: 5, blobs: 6, convolution: 10}
)

// v0Layer is the field of a V1LayerParameter that has the layer in the oldest form inside.
const v0Layer = 1

// The types of a layer that adds its inputs up: text, in the older form a number.
const (
	v2Eltwise = "Eltwise"
	v1Eltwise = 25
)

const (
	maxLayers = 1 << 12
	maxBlobs  = 8
	maxRepeat = 8 // of a convolution's parameter
)

// A caffeNet is what a file says about a network.
type caffeNet struct {
	name   string
	layers []caffeLayer
}

type caffeLayer struct {
	name    string
	eltwise bool
	blobs   []array
	conv    *caffeConv // the parameters of a convolution
}

// A caffeConv has the numbers for height and width.
type caffeConv struct {
	pad, stride, dilation [2]uint64
	group                 uint64
}

// readCaffemodel reads the structure of a file of size bytes. It has the weights of the published AlexNet, or
// of a SqueezeNet: v1.0, v1.1, or the residual one, which is v1.0 with simple bypass.
func readCaffemodel(r io.ReaderAt, size int64) (*tensors, error) {
	net, err := parseNet(protobuf.NewMessage(r, size))
	if err != nil {
		return nil, err
	}
	model, err := net.model()
	if err != nil {
		return nil, err
	}
	table, err := models.Lookup(model)
	if err != nil {
		return nil, err
	}
	t := &tensors{
		arrays: map[string]array{},
		names: func(node string) (weights, bias string) {
			return blobName(caffeName(node), 0), blobName(caffeName(node), 1)
		},
		recipe: recipe{height: table.Input.H, width: table.Input.W, preprocessor: table.Preprocessor, padding: map[string]kernels.Padding{}},
	}
	for _, l := range net.layers {
		for i, a := range l.blobs {
			name := blobName(l.name, i)
			if _, taken := t.arrays[name]; taken {
				return nil, fmt.Errorf("layer %q with weights occurs twice", l.name)
			}
			t.arrays[name] = a
		}
	}
	for _, n := range table.Nodes {
		conv, ok := n.Layer.(layer.Conv)
		if at := net.index(caffeName(n.Name)); ok && at >= 0 && net.layers[at].conv != nil {
			if t.recipe.padding[n.Name], err = net.layers[at].conv.check(conv); err != nil {
				return nil, fmt.Errorf("layer %q: %w", net.layers[at].name, err)
			}
		}
	}
	return t, t.published(model)
}

// caffeName returns the name of a node in Caffe: fire2/squeeze1x1 for fire2.squeeze1x1.
func caffeName(node string) string { return strings.Replace(node, ".", "/", 1) }

// blobName names a blob as Caffe's Python interface addresses it.
func blobName(layer string, i int) string { return fmt.Sprintf("%s[%d]", layer, i) }

// index returns the place of a layer, or -1.
func (n *caffeNet) index(name string) int {
	return slices.IndexFunc(n.layers, func(l caffeLayer) bool { return l.name == name })
}

// model returns the name of the model whose weights they are.
func (n *caffeNet) model() (string, error) {
	conv1, pool1 := n.index("conv1"), n.index("pool1")
	switch {
	case conv1 >= 0 && n.index("fc8") >= 0:
		if pool1 >= 0 && pool1 < n.index("norm1") {
			return "", fmt.Errorf("network %q has pool1 before norm1, as CaffeNet, expected AlexNet or a SqueezeNet", n.name)
		}
		return "alexnet", nil
	case conv1 < 0 || n.index("fire2/squeeze1x1") < 0:
		return "", fmt.Errorf("network %q has other layers than expected: AlexNet has conv1 and fc8, a SqueezeNet conv1 and fire2/squeeze1x1", n.name)
	case slices.ContainsFunc(n.layers, func(l caffeLayer) bool { return l.eltwise }):
		return "squeezenet1.0-simple", nil
	case len(n.layers[conv1].blobs) > 0 && slices.Equal(n.layers[conv1].blobs[0].dims, []int{64, 3, 3, 3}):
		return "squeezenet1.1", nil
	}
	return "squeezenet1.0", nil
}

// check returns the padding, which may differ from that of the table. All else must not.
func (c *caffeConv) check(want layer.Conv) (pad kernels.Padding, err error) {
	for _, v := range []struct {
		what      string
		got, want uint64
	}{
		{"stride", c.stride[0], uint64(cmp.Or(want.Stride, 1))},
		{"stride", c.stride[1], uint64(cmp.Or(want.Stride, 1))},
		{"dilation", c.dilation[0], 1},
		{"dilation", c.dilation[1], 1},
		{"group", c.group, uint64(cmp.Or(want.Groups, 1))},
	} {
		if v.got != v.want {
			return pad, fmt.Errorf("%s is %d, expected %d", v.what, v.got, v.want)
		}
	}
	if most := max(c.pad[0], c.pad[1]); most > math.MaxUint16 {
		return pad, fmt.Errorf("pad is %d, expected at most %d", most, math.MaxUint16)
	}
	h, w := int(c.pad[0]), int(c.pad[1])
	return kernels.Padding{Top: h, Left: w, Bottom: h, Right: w}, nil
}

// parseNet parses a NetParameter.
func parseNet(m protobuf.Message) (*caffeNet, error) {
	net := &caffeNet{}
	for f, err := range m.Fields() {
		if err != nil {
			return nil, err
		}
		switch int(f.Number) {
		case netName:
			net.name, err = f.String()
		case netLayers:
			err = net.add(f, v2Fields)
		case netV1Layers:
			err = net.add(f, v1Fields)
		}
		if err != nil {
			return nil, err
		}
	}
	return net, nil
}

// add parses a layer.
func (n *caffeNet) add(f protobuf.Field, fields layerFields) error {
	if len(n.layers) == maxLayers {
		return fmt.Errorf("more than %d layers", maxLayers)
	}
	l, err := parseLayer(f, fields)
	if err != nil {
		return fmt.Errorf("layer %d, %q: %w", len(n.layers), l.name, err)
	}
	n.layers = append(n.layers, l)
	return nil
}

func parseLayer(f protobuf.Field, fields layerFields) (l caffeLayer, err error) {
	m, err := f.Message()
	if err != nil {
		return l, err
	}
	for f, err := range m.Fields() {
		if err != nil {
			return l, err
		}
		switch int(f.Number) {
		case fields.name:
			l.name, err = f.String()
		case fields.typ:
			if v, notNumber := f.Varint(); notNumber == nil {
				l.eltwise = v == v1Eltwise
			} else {
				var s string
				s, err = f.String()
				l.eltwise = s == v2Eltwise
			}
		case fields.blobs:
			var a array
			if a, err = parseBlob(f); err != nil {
				err = fmt.Errorf("blob %d: %w", len(l.blobs), err)
			} else if l.blobs = append(l.blobs, a); len(l.blobs) > maxBlobs {
				err = fmt.Errorf("more than %d blobs", maxBlobs)
			}
		case fields.convolution:
			l.conv, err = parseConv(f)
		case v0Layer: // not in the newest form, where this is the name
			err = errors.New("it is a V0LayerParameter, expected one of the newer forms, to which Caffe's upgrade_net_proto_binary converts")
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// parseConv parses a ConvolutionParameter.
func parseConv(f protobuf.Field) (*caffeConv, error) {
	m, err := f.Message()
	if err != nil {
		return nil, err
	}
	values := map[int][]uint64{}
	for f, err := range m.Fields() {
		if err != nil {
			return nil, err
		}
		switch n := int(f.Number); n {
		case convPad, convPadH, convPadW, convStride, convStrideH, convStrideW, convGroup, convDilation:
			if values[n], err = f.Varints(values[n], maxRepeat); err != nil {
				return nil, fmt.Errorf("convolution: %w", err)
			}
		}
	}
	// last is for parameters that have one value: the last one counts.
	last := func(field int, otherwise uint64) uint64 {
		if v := values[field]; len(v) > 0 {
			return v[len(v)-1]
		}
		return otherwise
	}
	// pair is for parameters that have one value, or one for height and one for width, or two
	// other fields for these.
	pair := func(both, h, w int, otherwise uint64) [2]uint64 {
		v := [2]uint64{otherwise, otherwise}
		if given := values[both]; len(given) > 0 {
			v = [2]uint64{given[0], given[min(1, len(given)-1)]}
		}
		return [2]uint64{last(h, v[0]), last(w, v[1])}
	}
	const none = -1
	return &caffeConv{
		pad:      pair(convPad, convPadH, convPadW, 0),
		stride:   pair(convStride, convStrideH, convStrideW, 1),
		dilation: pair(convDilation, none, none, 1),
		group:    last(convGroup, 1),
	}, nil
}

// parseBlob parses a BlobProto, an array of float or double. Its values stay in the file.
func parseBlob(f protobuf.Field) (a array, err error) {
	m, err := f.Message()
	if err != nil {
		return a, err
	}
	var dims []uint64
	var old [4]uint64
	count := int64(0)
	for f, err := range m.Fields() {
		if err != nil {
			return a, err
		}
		switch n := int(f.Number); n {
		case 1, 2, 3, 4:
			old[n-1], err = f.Varint()
		case blobShape:
			var shape protobuf.Message
			if shape, err = f.Message(); err == nil {
				dims, err = parseShape(shape)
			}
		case blobData, blobDouble:
			var v stretch
			v, err = valuesOf(f)
			count += v.n
		}
		if err != nil {
			return a, err
		}
	}
	if dims == nil {
		// The old form is always 4-D, with ones before what a dense layer or biases have.
		dims = old[:]
		for len(dims) > 1 && dims[0] == 1 {
			dims = dims[1:]
		}
	}
	for _, d := range dims {
		if d > math.MaxInt32 {
			return a, fmt.Errorf("dimension %d, expected at most %d", d, math.MaxInt32)
		}
		a.dims = append(a.dims, int(d))
	}
	offset, size, err := f.Section()
	if err != nil {
		return a, err
	}
	n, err := tensor.Stored{DType: tensor.F32, Dims: a.dims}.Elems(size)
	if err == nil && int64(n) != count || err != nil {
		return a, fmt.Errorf("%d values, expected those of %s", count, a.shape())
	}
	a.load = func(r io.ReaderAt, dst []float32) ([]float32, error) {
		if cap(dst) < n {
			dst = make([]float32, n)
		}
		return loadBlob(io.NewSectionReader(r, offset, size), dst[:n])
	}
	return a, nil
}

// parseShape parses a BlobShape.
func parseShape(m protobuf.Message) (dims []uint64, err error) {
	dims = []uint64{}
	for f, err := range m.Fields() {
		if err != nil {
			return nil, err
		}
		if f.Number == shapeDim {
			if dims, err = f.Varints(dims, maxRank); err != nil {
				return nil, fmt.Errorf("shape: %w", err)
			}
		}
	}
	return dims, nil
}

// loadBlob fills dst with the values of the BlobProto in r.
func loadBlob(r *io.SectionReader, dst []float32) ([]float32, error) {
	n := 0
	for f, err := range protobuf.NewMessage(r, r.Size()).Fields() {
		if err != nil {
			return nil, err
		}
		if f.Number != blobData && f.Number != blobDouble {
			continue
		}
		v, err := valuesOf(f)
		if err != nil {
			return nil, err
		}
		rest := dst[n:]
		if v.n > int64(len(rest)) {
			return nil, fmt.Errorf("more than %d values", len(dst))
		}
		if v.single {
			rest[0] = v.value
		} else if _, err := tensor.Load(tensor.Stored{DType: v.dtype, Dims: []int{int(v.n)}, File: r, Offset: v.offset}, rest); err != nil {
			return nil, err
		}
		n += int(v.n)
	}
	if n != len(dst) {
		return nil, fmt.Errorf("%d values, expected %d", n, len(dst))
	}
	return dst, nil
}

// A stretch is the values of a field: one, or many that are packed.
type stretch struct {
	n      int64
	single bool
	value  float32 // if it is single
	dtype  tensor.DType
	offset int64 // of those that are packed
}

// valuesOf returns what a field of values has.
func valuesOf(f protobuf.Field) (v stretch, err error) {
	if f.Number == blobData {
		if bits, err := f.Fixed32(); err == nil {
			return stretch{n: 1, single: true, value: math.Float32frombits(bits)}, nil
		}
		v.dtype = tensor.F32
	} else {
		if bits, err := f.Fixed64(); err == nil {
			return stretch{n: 1, single: true, value: float32(math.Float64frombits(bits))}, nil
		}
		v.dtype = tensor.F64
	}
	offset, size, err := f.Section()
	if width := int64(v.dtype.Size()); err == nil && size%width != 0 {
		err = fmt.Errorf("field %d has %d bytes, expected a multiple of %d", f.Number, size, width)
	} else {
		v.n, v.offset = size/width, offset
	}
	return v, err
}
