// Package vec is the seam between a kernel's recipe and an instruction set: a
// machine of vector registers, described at the level where the sets still agree.
//
// A recipe never names an instruction. Where the best form differs, the whole step
// is the machine's: Outer multiplies by a broadcast from memory on AVX and by
// lane on NEON, and each machine owns its addressing.
//
// Arithmetic comes in two forms. A method that returns a register makes a new one and
// leaves its operands as they are: Add(a, b) is a + b. A method that returns nothing
// changes its first operand, and a preposition in its name says so: AddTo(sum, v),
// MulBy(v, factor), ToBytes(n).
//
// Methods panic on a recipe's mistake; there is no input here that a user gives.
package vec

import "github.com/mmcloughlin/avo/reg"

// V is a vector register, R an integer or pointer register, both virtual: the
// allocator picks the machine's own. avo's register types serve every machine,
// because avo's allocator does.
type (
	V = reg.VecVirtual
	R = reg.GPVirtual
)

// An Element is the type of the values in memory and in the lanes of a vector.
type Element struct {
	Name string // as names of kernels have it
	Size int    // bytes
}

// The elements. Their sizes stand here and nowhere else.
var (
	F32 = Element{"f32", 4}
	F16 = Element{"f16", 2}
	U8  = Element{"u8", 1}
	S8  = Element{"s8", 1}
	S16 = Element{"s16", 2}
	S32 = Element{"s32", 4}
)

// A Machine emits functions for one instruction set: what is the same for values of all
// types, and arithmetic on each type.
type Machine interface {
	Core
	Float32() Float32
	Uint8() Uint8
	Int16() Int16
	Int32() Int32

	// Dot is sums of products whose weights are not float32: of inputs that are U8 and weights that are S8, or of
	// inputs that are S16 and weights that are S8 or S16, with int32 sums; and of inputs that are F32
	// and weights that are F16 or S8, with float32 sums. Not every machine has all of them.
	Dot(inputs, weights Element) Sums
}

// Core is what every kernel needs, whatever the type of its values.
type Core interface {
	Functions
	Loops
	Integers
	Vectors
}

// Functions begins and ends functions, reads their arguments, and says in the assembly
// what a reader needs to know.
type Functions interface {
	// Func begins a function; signature is Go's, without the name. doc becomes its
	// documentation. Return ends it.
	Func(name, signature string, doc ...string)
	Return()

	Arg(param string) R       // loads an integer or pointer argument
	SetArg(param string, r R) // stores r as the argument that the next Arg loads

	// Comment is a sentence above the instructions that follow; its full stop is added.
	Comment(sentence string)

	// Name says what registers hold, for the map of registers that begins each function.
	// Arguments have their parameter's name without it. Registers without a name are
	// listed together as temporary.
	Name(name string, registers ...reg.Register)
}

// Named gives one register its name.
func Named[T reg.Register](f Functions, name string, r T) T {
	f.Name(name, r)
	return r
}

// NameAll gives several registers one name; the map tells them apart by their index.
func NameAll[T reg.Register](f Functions, name string, all []T) {
	registers := make([]reg.Register, len(all))
	for i, r := range all {
		registers[i] = r
	}
	f.Name(name, registers...)
}

// Loops repeats a body. A loop's comment, a sentence as of Comment, says what a round is
// for: it stands above the loop's label, which is made of the name.
type Loops interface {
	Loop(name, comment string, n R, body func())                   // n >= 1 times; n is 0 then
	LoopArg(name, comment, param string, body func())              // as Loop; the count stays in its argument, not in a register
	Steps(name, comment string, n R, unroll int, body func(n int)) // n >= 0 steps, unroll in a round, then one by one; n is 0 then
}

// Integers is arithmetic on counts, distances and addresses.
type Integers interface {
	Int(n int) R
	CopyInt(r R) R
	AddTo(dst, src R)
	AddMulTo(dst, src R, n int) // dst += n·src
	AddMul(a, b R, n int) R     // a + n·b
	SubFrom(dst, src R)
	MulBy(dst, src R)
	DivBy(dst R, n int) // n is a power of two; rounds down
	LoadInt(p R) R      // the int at p
	SkipInts(p R, n int)
	LoadInt32(p R, i int) R // int32 i from p on
	SkipInt32s(p R, n int)
	LoadByte(p R, i int) R // uint8 i from p on
	SkipBytes(p R, n int)
}

// Vectors moves whole vectors, of whatever type, between memory and registers.
type Vectors interface {
	Size() int      // bytes in a vector
	Registers() int // vector registers

	Zero() V
	Copy(v V) V
	Load(p R, i int) V // vector i from p on
	Store(v V, p R, i int)
	LoadAt(p, x R) V // at address p + x bytes
	StoreAt(v V, p, x R)
	SkipVectors(p R, n int)
	Prefetch(p R, bytes int)      // the cache line at p + bytes, for reading soon
	PrefetchLater(p R, bytes int) // for reading later, to a cache that is large

	// Transpose returns the columns of a matrix of values of four bytes, as many as a vector has lanes; they
	// take the place of its rows. Vectors must have at most eight lanes.
	Transpose(rows []V) []V

	// Rows prepares the addressing of n rows that lie stride bytes apart. The name is for
	// the map of registers.
	Rows(name string, stride R, n int) Rows
	LoadRow(rows Rows, i int) V // the vector at the start of row i
	StoreRow(v V, rows Rows, i int)
}

// Rows is a machine's way of addressing the rows of a tile.
type Rows interface {
	// Start makes the first row begin at p, which stays as it is.
	Start(p R)
}

// Elements is what a type's size decides.
type Elements interface {
	Element() Element
	Lanes() int       // values in a vector
	ToBytes(n R)      // n becomes the bytes of n values
	ToVectors(n R)    // n becomes the vectors in n values
	Address(p, i R) R // of value i from p on
	Skip(p R, n int)  // p skips n values
}

// Sums is what adds products of inputs and weights to accumulators; its Elements are the inputs.
type Sums interface {
	Elements

	// Group is how many neighbouring inputs of a sum one lane of an accumulator takes at a
	// time: their weights lie beside each other. It is 1 for float32.
	Group() int

	// Weight is the type of a weight in memory. Where inputs have more bytes, Outer widens weights to
	// their type as it loads them, because there are more of them than caches hold.
	Weight() Element

	// Offset is what Outer subtracts from each input: sums must start at Offset times the sum of
	// their weights more. It is 0 where inputs are multiplied as they are.
	Offset() int

	// AddMulTo adds products to a vector of sums: each lane of weights and inputs is a group, from
	// whose inputs Offset has been subtracted, and the weights have as many bytes as inputs. For float32, dst += weights·inputs is rounded once.
	AddMulTo(dst, weights, inputs V)

	// Outer adds steps outer products to the accumulators: for each step k, row m and
	// lane n, and each input g of a group, acc[m][n] += (rows[m][k·Group+g]-Offset)·w[k][n][g],
	// where the lanes n are those of all vectors of a row. Rows and w skip what was read.
	Outer(acc [][]V, rows Rows, w R, steps int)

	// OuterAt adds step k of w to the accumulators, with the inputs at the start of rows. It moves
	// neither.
	OuterAt(acc [][]V, rows Rows, w R, k int)

	// OuterRegisters is how many vector registers Outer needs beside the accumulators of
	// rows×vectors.
	OuterRegisters(rows, vectors int) int
}

// VectorIntegers is arithmetic on vectors of integers, modulo their size.
type VectorIntegers interface {
	Elements

	Add(a, b V) V
	Sub(a, b V) V // a - b
	ShiftLeft(v V, n int) V

	AddTo(dst, v V)
	SubFrom(dst, v V)
}

// Int16 is arithmetic on vectors of int16 values.
type Int16 interface {
	VectorIntegers

	// Widen loads vector i from p on, where p points to uint8 values: a vector has as many
	// as it has lanes of int16.
	Widen(p R, i int) V
	WidenRow(rows Rows, i int) V // the uint8 values at the start of row i

	AddSaturated(dst, v V) // dst += v, or the greatest or least int16

	Pack(a, b V) V // the lanes of both as uint8 values, saturated, in the machine's order
}

// Int32 is arithmetic on vectors of int32 values.
type Int32 interface {
	VectorIntegers

	Splat(c int) V           // all lanes are c
	SplatArg(param string) V // all lanes are the int32 argument
	MulBy(dst, v V)

	ToFloat(v V) V // float32, rounded half to even
	Round(v V) V   // of float32 to int32, half to even; what is less than all int32 becomes the least one

	// Widen loads vector i from p on, where p points to uint8 values: a vector has as many
	// as it has lanes of int32.
	Widen(p R, i int) V

	// Narrow stores vectors, a multiple of four, as uint8 values, one vector after the other, at
	// p + bytes. All lanes are 0 to 255.
	Narrow(vs []V, p R, bytes int)

	Pack(a, b V) V // the lanes of both as int16 values, saturated, in the machine's order
}

// Uint8 is vectors of uint8 values.
type Uint8 interface {
	Elements

	SplatArg(param string) V // all lanes are the low bits of the int32 argument
	MaxWith(dst, v V)

	// StorePacked stores four vectors of int32 that were packed to v, the first and the second
	// as the third and the fourth to int16, then both: perRow of them, 1 or 2, from the start of each
	// of n rows on.
	StorePacked(v V, rows Rows, n, perRow int)

	// GatherRow loads Gathered values from the start of row i on, and puts value places[j] of them at place j,
	// for each of Gathered places, which LoadPlaces loads from p on. All are less than Gathered. What it returns
	// may be stored at the start of a row, as it is or as int16 values.
	GatherRow(rows Rows, i int, places V) V
	LoadPlaces(p R) V
	StoreGathered(v V, rows Rows, i int)
	StoreGatheredWide(v V, rows Rows, i int)
}

// Gathered is how many values Uint8.GatherRow moves, whatever the size of vectors.
const Gathered = 16

// Float32 is arithmetic on vectors of float32 values.
type Float32 interface {
	Sums

	Splat(c float32) V       // all lanes are c
	SplatArg(param string) V // all lanes are the float32 argument
	SplatAt(p R) V           // all lanes are the float32 at p

	// OuterBeside adds outer products as Outer does, but the inputs of a step lie beside each other, and those of the
	// next step are distance bytes further on: acc[m][n] += inputs[m]·w[k][n]. inputs and w skip what was read.
	OuterBeside(acc [][]V, inputs, distance, w R, steps int)

	// AddMulRow adds a row of vectors, times float32 i from factors on, to the sums; each lane is rounded
	// once.
	AddMulRow(sums []V, factors R, i int, row R)

	Add(a, b V) V
	Sub(a, b V) V // a - b
	Sqrt(v V) V

	AddTo(dst, v V)
	SubFrom(dst, v V)
	MulBy(dst, v V)
	DivBy(dst, v V)
	MaxWith(dst, v V) // dst becomes the greater one; stays where either is NaN, if the machine must choose
	MinWith(dst, v V) // neither is NaN

	SelectEqual(a, b, v V) V   // v where a == b, and 0 elsewhere, also where either is NaN
	SelectGreater(a, b, v V) V // v where a > b, and 0 elsewhere, also where either is NaN
	ClearNaN(v V)              // lanes that are NaN become 0; not every machine has it
	SubMulFrom(dst, a, b V)    // dst -= a·b, rounded once
}
