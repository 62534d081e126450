// Package vec is the seam between a kernel's recipe and an instruction set: a
// machine of vector registers, described at the level where the sets still agree.
//
// A recipe never names an instruction. Where the best form differs, the whole step
// is the machine's: Outer multiplies by a broadcast from memory on AVX and by
// lane on NEON, and each machine owns its addressing.
package vec

import "github.com/mmcloughlin/avo/reg"

// V is a vector register, R an integer or pointer register, both virtual: the
// allocator picks the machine's own. avo's register types serve every machine,
// because avo's allocator does.
type (
	V = reg.VecVirtual
	R = reg.GPVirtual
)

// A Machine emits functions for one instruction set. Offsets count vectors unless
// they say otherwise. Methods panic on a recipe's mistake; there is no input here
// that a user gives.
type Machine interface {
	Lanes() int     // float32 values in a vector
	Registers() int // vector registers

	// Func begins a function; signature is Go's, without the name. doc becomes its
	// documentation. Return ends it.
	Func(name, signature string, doc ...string)
	Return()

	Int(param string) R       // loads an integer or pointer argument
	SetInt(param string, r R) // stores to the argument, for the next Int
	Splat(param string) V     // loads a float32 argument into all lanes
	Zero() V
	Const(c float32) V // all lanes are c
	Copy(v V) V

	ZeroInt() R
	Count(n int) R // a loop's constant count
	CopyInt(r R) R
	AddInt(dst, src R)                                    // dst += src
	SubInt(dst, src R)                                    // dst -= src
	AddMul(dst, src R, n int)                             // dst += n·src
	Times(dst, src R)                                     // dst *= src
	AddVectors(p R, n int)                                // p += n vectors
	AddFloats(p R, n int)                                 // p += n float32 values
	Bytes(n R)                                            // n becomes the size of n float32 values
	Vectors(n R)                                          // n becomes the number of vectors in n float32 values
	Halve(n R, times int)                                 // n /= 2^times, rounded down
	FloatAt(p, i R) R                                     // address of the float32 with index i from p on
	NextInt(p R) R                                        // loads the int at p; p moves to the next one
	Loop(name string, n R, body func())                   // n >= 1 times; consumes n
	LoopParam(name, param string, body func())            // as Loop; the count stays in its argument, not in a register
	Steps(name string, n R, unroll int, body func(n int)) // n >= 0 steps: blocks of unroll, then one by one; consumes n

	Prefetch(p R, bytes int) // the cache line at p + bytes, for reading soon

	Load(p R, off int) V
	LoadX(p, x R) V // from address p + x bytes
	Store(v V, p R, off int)
	StoreX(v V, p, x R)
	Sum(a, b V) V        // a + b
	Difference(a, b V) V // a - b
	Add(dst, v V)        // dst += v
	Sub(dst, v V)        // dst -= v
	Mul(dst, v V)        // dst *= v
	Div(dst, v V)        // dst /= v
	Sqrt(v V) V          // √v
	Max(dst, v V)        // dst = max(dst, v); dst where either is NaN, if the machine must choose
	MulAdd(dst, a, b V)  // dst += a·b, rounded once
	MulSub(dst, a, b V)  // dst -= a·b, rounded once

	// Rows prepares the addressing of n rows that lie stride bytes apart.
	Rows(stride R, n int) Rows

	// LoadRow and StoreRow access the vector at the start of row i.
	LoadRow(rows Rows, i int) V
	StoreRow(v V, rows Rows, i int)

	// Outer adds steps outer products to the accumulators: for each step k, row m and
	// vector v, acc[m][v] += rows[m][k]·w[k][v], where w is a run of len(acc[0])
	// vectors a step. Both advance by the steps.
	Outer(acc [][]V, rows Rows, w R, steps int)

	// Scratch is the number of vector registers that Outer needs beside the
	// accumulators of rows×vectors.
	Scratch(rows, vectors int) int
}

// Rows is a machine's way of addressing the rows of a tile.
type Rows interface {
	// Start makes the first row begin at p, which stays as it is.
	Start(p R)
}
