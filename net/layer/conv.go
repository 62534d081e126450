package layer

import (
	"cmp"
	"fmt"

	"firebench/kernels"
	"firebench/kernels/workers"
)

// A Conv is a convolution with a kernel that is Kernel pixels high and KernelW pixels wide, 0 for as
// wide as high. Its result has ⌊(Pad.Top + H + Pad.Bottom − Kernel)/Stride⌋ + 1 rows, columns by the
// same rule, and Out channels. Stride 0 and Groups 0 mean 1. The result is of type Type, see [Typed].
type Conv struct {
	Out, Kernel, KernelW, Stride int
	Pad                          kernels.Padding
	Groups                       int
	Type                         kernels.Type
}

// Op returns conv1x1, conv3x3, …: height x width of the kernel.
func (c Conv) Op() string { return fmt.Sprintf("conv%dx%d", c.Kernel, cmp.Or(c.KernelW, c.Kernel)) }

// ConvShape implements Weighted.
func (c Conv) ConvShape(in Shape) kernels.ConvShape {
	return kernels.ConvShape{
		In: in.C, Out: c.Out,
		KH: c.Kernel, KW: cmp.Or(c.KernelW, c.Kernel),
		Stride: cmp.Or(c.Stride, 1), Pad: c.Pad,
		Groups: cmp.Or(c.Groups, 1),
	}
}

// OutShape implements Layer.
func (c Conv) OutShape(in []Shape) (Shape, error) { return convOut(c, in, c.Type) }

// Cost implements Layer. As is usual, products with padding count as multiply-adds, even those of
// the outputs that a padded 1×1 kernel computes from padding alone.
func (c Conv) Cost(in []Shape) kernels.Cost { return convCost(c, in[0], c.Type) }

// Bind implements Layer.
func (c Conv) Bind(b Binding) ([]workers.Task, error) { return convBind(b) }

// As implements Typed.
func (c Conv) As(t kernels.Type) Layer {
	c.Type = t
	return c
}

func (Conv) fuser() {}

// convOut is OutShape of every Weighted layer, whose result is of type t.
func convOut(l Weighted, in []Shape, t kernels.Type) (Shape, error) {
	if err := typed(in, 1, t); err != nil {
		return Shape{}, err
	}
	s := l.ConvShape(in[0])
	if err := s.Check(); err != nil {
		return Shape{}, err
	}
	// Memory has the same halo on all sides.
	padded := Shape{in[0].H + 2*s.Pad.Max(), in[0].W + 2*s.Pad.Max(), s.In, in[0].Type}
	if err := padded.Check(); err != nil {
		return Shape{}, fmt.Errorf("padded by %v: %w", s.Pad, err)
	}
	oh, ow := s.OutSize(in[0].H, in[0].W)
	if oh < 1 || ow < 1 {
		return Shape{}, fmt.Errorf("a %d×%d kernel does not fit into %v with padding %v", s.KH, s.KW, in[0], s.Pad)
	}
	out := Shape{oh, ow, s.Out, t}
	return out, out.Check()
}

// convCost is Cost of every Weighted layer, whose result is of type t. Quantized weights have one
// byte, and four for each channel's scale.
func convCost(l Weighted, in Shape, t kernels.Type) kernels.Cost {
	s := l.ConvShape(in)
	oh, ow := s.OutSize(in.H, in.W)
	out := Shape{oh, ow, s.Out, t}
	cost := traffic(out, in)
	cost.Params = int64(s.Weights() + s.Out)
	cost.MACs = int64(out.Elems()) * int64(s.K())
	cost.Weights = int64(4 * (s.Weights() + s.Out))
	if quantized(t) {
		cost.Weights = int64(s.Weights() + (4+4)*s.Out)
	}
	return cost
}

// convBind is Bind of every Weighted layer.
func convBind(b Binding) ([]workers.Task, error) {
	return bound(b.Conv.Bind(b.Dst, b.Src[0], b.Threads))
}

// Window implements Windowed.
func (c Conv) Window(in []Shape) (kernel, stride, pad int, ok bool) {
	s := c.ConvShape(in[0])
	// A padded 1×1 convolution with stride 1 has no halo: the outputs around the image are set
	// to the bias, as a border of the whole result. A band of rows cannot have that border.
	return s.KH, s.Stride, s.Pad.Top, s.Halo() == s.Pad.Max()
}
