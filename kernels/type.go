package kernels

import (
	"fmt"
	"unsafe"
)

// An Element is how each number of a value is stored. Its zero value is Float32.
type Element uint8

// The elements, named after the Go types that hold them.
const (
	Float32 Element = iota
	Uint8
	Int8
	Int32
)

var elements = [...]struct {
	name string
	size int
}{
	Float32: {"f32", int(unsafe.Sizeof(float32(0)))},
	Uint8:   {"u8", int(unsafe.Sizeof(uint8(0)))},
	Int8:    {"s8", int(unsafe.Sizeof(int8(0)))},
	Int32:   {"s32", int(unsafe.Sizeof(int32(0)))},
}

// Size returns the size of an element in bytes. It is 0 for a number that is not one of the
// constants.
func (e Element) Size() int {
	if int(e) < len(elements) {
		return elements[e].size
	}
	return 0
}

// String returns the name that benchmark names use: f32, u8, s8 or s32, where u is unsigned and s
// signed.
func (e Element) String() string {
	if int(e) < len(elements) {
		return elements[e].name
	}
	return fmt.Sprintf("Element(%d)", uint8(e))
}

// limits returns the smallest and the largest integer that an element holds; both are 0 for
// Float32, which is no integer.
func (e Element) limits() (smallest, largest int32) {
	switch e {
	case Uint8:
		return 0, 1<<8 - 1
	case Int8:
		return -1 << 7, 1<<7 - 1
	case Int32:
		return -1 << 31, 1<<31 - 1
	}
	return 0, 0
}

// A Number is the Go type of an [Element].
type Number interface {
	float32 | uint8 | int8 | int32
}

// elementOf returns the Element that T holds.
func elementOf[T Number]() Element {
	switch any(T(0)).(type) {
	case float32:
		return Float32
	case uint8:
		return Uint8
	case int8:
		return Int8
	}
	return Int32
}

// A Type says how the numbers of a value are stored and which numbers they stand for. The zero
// value is plain float32. An integer q of a quantized value stands for Scale·(q − Zero), as in
// ONNX; if Scale is 0, integers stand for themselves.
type Type struct {
	Element Element
	Scale   float32
	Zero    int32 // the zero point: the integer that stands for 0
}

// String returns the element's name, and scale and zero point if there are any.
func (t Type) String() string {
	if t.Scale == 0 && t.Zero == 0 {
		return t.Element.String()
	}
	return fmt.Sprintf("%v(scale %g, zero %d)", t.Element, t.Scale, t.Zero)
}

// quantized reports whether t is the type of quantized activations.
func (t Type) quantized() bool { return t.Element == Uint8 && t.Scale > 0 }

// Check returns an error for an element that does not exist, for a scale that is negative or not
// finite, for a zero point that the element cannot hold or that has no scale, and for a float32
// type that has a scale or a zero point.
func (t Type) Check() error {
	if t.Element.Size() == 0 {
		return fmt.Errorf("type: unknown element %v", t.Element)
	}
	if t.Element == Float32 && t != (Type{}) {
		return fmt.Errorf("type: %v, expected no scale and zero point for f32", t)
	}
	if !(t.Scale >= 0 && t.Scale-t.Scale == 0) || t.Scale == 0 && t.Zero != 0 {
		return fmt.Errorf("type: scale is %g, expected a positive number", t.Scale)
	}
	if smallest, largest := t.Element.limits(); t.Zero < smallest || t.Zero > largest {
		return fmt.Errorf("type: zero point is %d, expected %d to %d for %v", t.Zero, smallest, largest, t.Element)
	}
	return nil
}
