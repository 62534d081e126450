package onnx

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the messages' fields, as in onnx.proto: modelGraph is ModelProto.graph.
const (
	modelIRVersion protowire.Number = 1
	modelProducer  protowire.Number = 2
	modelGraph     protowire.Number = 7
	modelOpset     protowire.Number = 8
	modelMetadata  protowire.Number = 14

	opsetVersion protowire.Number = 2

	entryKey   protowire.Number = 1
	entryValue protowire.Number = 2

	graphNode        protowire.Number = 1
	graphName        protowire.Number = 2
	graphInitializer protowire.Number = 5
	graphInput       protowire.Number = 11
	graphOutput      protowire.Number = 12

	nodeInput     protowire.Number = 1
	nodeOutput    protowire.Number = 2
	nodeName      protowire.Number = 3
	nodeOp        protowire.Number = 4
	nodeAttribute protowire.Number = 5

	attributeName  protowire.Number = 1
	attributeFloat protowire.Number = 2
	attributeInt   protowire.Number = 3
	attributeInts  protowire.Number = 8
	attributeType  protowire.Number = 20

	tensorDims protowire.Number = 1
	tensorType protowire.Number = 2
	tensorName protowire.Number = 8
	tensorRaw  protowire.Number = 9

	valueName protowire.Number = 1
	valueType protowire.Number = 2

	typeTensor protowire.Number = 1

	tensorTypeElement protowire.Number = 1
	tensorTypeShape   protowire.Number = 2

	shapeDim protowire.Number = 1

	dimValue protowire.Number = 1
	dimParam protowire.Number = 2
)

// Values of attributeType.
const (
	isFloat = 1
	isInt   = 2
	isInts  = 7
)

// Values of tensorType and tensorTypeElement.
const (
	float32s = 1
	uint8s   = 2
	int8s    = 3
	int32s   = 6
	int64s   = 7
)

// What the files say about themselves.
const (
	irVersion = 8 // the one of opset 17
	opset     = 17
)

// The keys of the metadata that carry the fields of a graph.Model.
const (
	keyModel        = "firebench.model"
	keyPreprocessor = "firebench.preprocessor"
	keyHead         = "firebench.head"
	keyClasses      = "firebench.classes" // an array in JSON
)

// A message is an encoded message in the making.
type message []byte

func (m *message) number(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) fixed32(field protowire.Number, v uint32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, field, protowire.Fixed32Type), v)
}

func (m *message) text(field protowire.Number, s string) {
	*m = protowire.AppendString(protowire.AppendTag(*m, field, protowire.BytesType), s)
}

func (m *message) message(field protowire.Number, sub message) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), sub)
}

// head begins a field of size bytes, which follow elsewhere.
func (m *message) head(field protowire.Number, size int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.BytesType), uint64(size))
}

// bytesOf appends numbers in little-endian order, as raw tensors have them.
func bytesOf[T float32 | int8 | int32 | int64](b []byte, values ...T) []byte {
	b, err := binary.Append(b, binary.LittleEndian, values)
	if err != nil {
		panic(err) // the values have a fixed size
	}
	return b
}
