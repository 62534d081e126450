"""Makes the cases of cases_test.go: tiny models, each of which shows one thing that the importer must
read, with the result of ONNX Runtime, or one that it must refuse, with words that the error must have.

    python cases.py            write cases.json, and cases/NAME.onnx for each case
    python cases.py -check     fail if the committed files say something else

Models that are refused are valid, and ONNX Runtime runs them, unless they are marked broken.
"""

import json
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

FOLDER = pathlib.Path(__file__).parent
FLOAT_MAX = np.float32(np.finfo(np.float32).max)
DEFAULT_SHAPE = (1, 2, 5, 4)


def numbers(shape, start=0, scale=1.0, dtype=np.float32):
    """Numbers that look random, within ±4·scale. Those of the inputs, which start at 0, are made by
    cases_test.go as well."""
    i = np.arange(1 + start, 1 + start + int(np.prod(shape)), dtype=np.uint64)
    byte = (i * 2654435761 % 2**32) >> 24
    return ((byte.astype(np.float32) - 128) / 32 * np.float32(scale)).astype(dtype).reshape(shape)


def ints(shape, start, low, high, dtype):
    """Integers from low to high that look random."""
    i = np.arange(1 + start, 1 + start + int(np.prod(shape)), dtype=np.uint64)
    steps = ((i * 2654435761 % 2**32) >> 8) % (high - low + 1)
    return (low + steps.astype(np.int64)).astype(dtype).reshape(shape)


def weights(*shape, start=1000):
    return numbers(shape, start, 0.125)


def bias(n, start=2000):
    return numbers((n,), start, 0.25)


def i64(*values):
    return np.array(values, np.int64)


def f32(*values):
    return np.array(values[0] if len(values) == 1 else values, np.float32)


def node(op, inputs, outputs="y", name=None, **attributes):
    """A node that is named after its operator and its first result. Names are separated by spaces, - is none."""
    outputs = outputs.split()
    inputs = ["" if i == "-" else i for i in inputs.split()]
    name = f"{op.lower()}.{outputs[0]}" if name is None else name
    return helper.make_node(op, inputs, outputs, name=name, **attributes)


class Case:
    def __init__(self, name, refused=None, broken=False):
        self.name, self.refused, self.broken = name, refused, broken
        self.shape = DEFAULT_SHAPE  # of the input; the batch is one image unless said otherwise
        self.declared = None  # the shape that the file gives its input, if it is another one
        self.outputs = None
        self.layers = None
        self.exact = False
        self.files = {}  # external data
        self.reference = False  # whether ONNX's own evaluator runs it, where ONNX Runtime does not
        self.plain = False  # whether the graph must not be optimized, where that changes the result by more than rounding


cases = []


def tensor(name, value):
    return value if isinstance(value, TensorProto) else numpy_helper.from_array(value, name)


def model(c, nodes, initializers, opset, input_type=TensorProto.FLOAT, output_type=TensorProto.FLOAT, ir=None,
          also_inputs=False, domains=()):
    tensors = [tensor(k, v) for k, v in initializers.items()]
    inputs = [helper.make_tensor_value_info("x", input_type, list(c.declared or c.shape))]
    if also_inputs:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
    outputs = [helper.make_tensor_value_info(o, output_type, None) for o in c.outputs or [nodes[-1].output[0]]]
    graph = helper.make_graph(nodes, "noise", inputs, outputs, tensors)
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(d, 1) for d in domains]
    ir = ir or max(helper.find_min_ir_version_for([helper.make_opsetid("", min(opset, 25))]), 4)
    return helper.make_model(graph, opset_imports=imports, ir_version=ir, producer_name="")


def add(name, nodes, initializers={}, opset=13, shape=None, declared=None, outputs=None, layers=None, exact=False,
        refused=None, bad=-1, broken=False, change=None, files={}, twin=None,
        reference=False, plain=False, **kw):
    """Adds a case. A refusal names the node bad, an index or None, its operator, and the words of refused.
    change edits the model; twin is the case of float32 whose result stands for this one's."""
    c = Case(name, broken=broken)
    c.shape = tuple(shape or DEFAULT_SHAPE)
    c.declared, c.outputs, c.layers, c.exact, c.files, c.twin = declared, outputs, layers, exact, files, twin
    c.reference, c.plain = reference, plain
    c.model = model(c, nodes, initializers, opset, **kw)
    if change:
        change(c.model)
    if refused is not None:
        words = [] if bad is None else [nodes[bad].name, nodes[bad].op_type]
        c.refused = words + refused.split()
    assert name not in [c.name for c in cases], name
    cases.append(c)
    return c


def refuse(name, refused, *args, **kw):
    return add(name, *args, refused=refused, **kw)


# ---- Conv

def conv(name, kernel=(3, 3), out=4, groups=1, biased=True, channels=2, refused=None, **kw):
    extra = {k: kw.pop(k) for k in ("opset", "shape", "layers") if k in kw}
    shape = extra.setdefault("shape", (1, channels, 5, 4))
    init = {"w": weights(out, shape[1] // groups, *kernel)}
    if biased:
        init["b"] = bias(out)
    attributes = {"group": groups, **kw} if groups != 1 else kw
    add(name, [node("Conv", "x w b" if biased else "x w", **attributes)], init, refused=refused, **extra)


conv("conv", layers="conv.y")
conv("conv-7", opset=7)
conv("conv-22", opset=22, kernel_shape=[3, 3])
conv("conv-no-bias", biased=False)
conv("conv-1x1", kernel=(1, 1))
conv("conv-pad", pads=[1, 1, 1, 1])
conv("conv-pad-top", pads=[1, 0, 0, 0])
conv("conv-pad-left", pads=[0, 1, 0, 0])
conv("conv-pad-bottom", pads=[0, 0, 1, 0])
conv("conv-pad-right", pads=[0, 0, 0, 1])
conv("conv-pad-all", pads=[2, 1, 0, 3])
conv("conv-pad-beyond-kernel", kernel=(1, 1), pads=[2, 0, 1, 1])
conv("conv-stride", strides=[2, 2], pads=[1, 1, 1, 1])
conv("conv-stride-3", strides=[3, 3], shape=(1, 2, 9, 10))
conv("conv-groups", groups=2, channels=4)
conv("conv-depthwise", groups=4, channels=4, pads=[1, 1, 1, 1])
conv("conv-depthwise-multiplier", groups=2, channels=2, out=6)
conv("conv-1x3", kernel=(1, 3), pads=[0, 1, 0, 1])
conv("conv-3x1", kernel=(3, 1))
conv("conv-2x3-stride", kernel=(2, 3), strides=[2, 2], pads=[1, 0, 0, 2])
conv("conv-same-upper", auto_pad="SAME_UPPER")
conv("conv-same-upper-even", kernel=(2, 4), auto_pad="SAME_UPPER")
conv("conv-same-upper-stride", auto_pad="SAME_UPPER", strides=[2, 2])
conv("conv-same-upper-groups-stride", auto_pad="SAME_UPPER", strides=[2, 2], groups=2, shape=(1, 4, 6, 7))
conv("conv-same-lower", auto_pad="SAME_LOWER")
conv("conv-same-lower-even-stride", kernel=(4, 2), auto_pad="SAME_LOWER", strides=[2, 2], shape=(1, 2, 6, 7))
conv("conv-valid", auto_pad="VALID", strides=[2, 2])
conv("conv-notset", auto_pad="NOTSET", pads=[1, 0, 1, 0])
conv("conv-dilations-1", dilations=[1, 1])
conv("conv-dilation", dilations=[2, 2], shape=(1, 2, 7, 7), refused="dilations")
conv("conv-dilation-1", dilations=[1, 2], shape=(1, 2, 7, 7), refused="dilations")
conv("conv-strides", strides=[1, 2], refused="strides")
add("conv-batch", [node("Conv", "x w b")], {"w": weights(4, 2, 3, 3), "b": bias(4)},
    shape=(3, 2, 5, 4), declared=("N", 2, 5, 4))
add("conv-batch-unnamed", [node("Conv", "x w b")], {"w": weights(4, 2, 3, 3), "b": bias(4)},
    shape=(2, 2, 5, 4), declared=(None, 2, 5, 4))
add("conv-twice", [node("Conv", "x w b", "h", pads=[1, 1, 1, 1]), node("Conv", "h w b")],
    {"w": weights(2, 2, 3, 3), "b": bias(2)}, layers="conv.h conv.y")
refuse("conv-dynamic-weights", "w", [node("Relu", "x", "w"), node("Conv", "x w")])
refuse("conv-dynamic-bias", "b", [node("GlobalAveragePool", "x", "g"), node("Squeeze", "g", "b"), node("Conv", "x w b")],
       {"w": weights(2, 2, 3, 3)})
refuse("relu-constant", "constant", [node("Relu", "c", "w"), node("Conv", "x w")], {"c": weights(4, 2, 3, 3)}, bad=0)
refuse("conv-weights-rank", "w", [node("Conv", "x w")], {"w": weights(4, 2, 3)}, broken=True)
refuse("conv-weights-channels", "w", [node("Conv", "x w")], {"w": weights(4, 3, 3, 3)}, broken=True)
refuse("conv-bias-size", "b", [node("Conv", "x w b")], {"w": weights(4, 2, 3, 3), "b": bias(3)}, broken=True)
refuse("conv-kernel-shape", "kernel_shape", [node("Conv", "x w", kernel_shape=[3, 2])], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-kernel-too-big", "", [node("Conv", "x w")], {"w": weights(4, 2, 6, 6)}, broken=True)
refuse("conv-group-0", "group", [node("Conv", "x w", group=0)], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-group-3", "", [node("Conv", "x w", group=3)], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-stride-0", "strides", [node("Conv", "x w", strides=[0, 0])], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-strides-rank", "strides", [node("Conv", "x w", strides=[1])], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-pad-negative", "pads", [node("Conv", "x w", pads=[-1, 0, 0, 0])], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-pad-absurd", "pad", [node("Conv", "x w", pads=[0, 0, 1 << 40, 0])], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-pads-rank", "pads", [node("Conv", "x w", pads=[1, 1])], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-auto-pad", "auto_pad", [node("Conv", "x w", auto_pad="SAME")], {"w": weights(4, 2, 3, 3)}, broken=True)
refuse("conv-no-weights", "", [node("Conv", "x")], broken=True)
refuse("conv-1d", "x", [node("Conv", "x w")], {"w": weights(4, 2, 3)}, shape=(1, 2, 5), bad=None)

# ---- Activations

add("relu", [node("Relu", "x")], layers="relu.y")
add("relu-7", [node("Relu", "x")], opset=7)
add("relu-after-conv", [node("Conv", "x w b", "h"), node("Relu", "h")], {"w": weights(4, 2, 3, 3), "b": bias(4)},
    layers="conv.h relu.y")
refuse("leaky-relu", "", [node("LeakyRelu", "x", alpha=0.1)])
add("clip-6", [node("Clip", "x", min=0.0)], opset=7)
add("clip-6-max", [node("Clip", "x", min=0.0, max=float(FLOAT_MAX))], opset=10)
refuse("clip-6-relu6", "6", [node("Clip", "x", min=0.0, max=6.0)], opset=10)
refuse("clip-6-low", "-1", [node("Clip", "x", min=-1.0)], opset=10)
add("clip-11", [node("Clip", "x low")], {"low": f32(0)}, opset=11)
add("clip-no-max", [node("Clip", "x low -")], {"low": f32(0)})
add("clip-max", [node("Clip", "x low high")], {"low": f32(0), "high": np.array(FLOAT_MAX)})
add("clip-inf", [node("Clip", "x low high")], {"low": f32(0), "high": f32(np.inf)})
add("clip-constant", [node("Constant", "", "low", value=tensor("", f32(0))), node("Clip", "x low")])
refuse("clip-relu6", "6", [node("Clip", "x low high")], {"low": f32(0), "high": f32(6)})
refuse("clip-low", "0.5", [node("Clip", "x low")], {"low": f32(0.5)})
refuse("clip-no-min", "", [node("Clip", "x - high")], {"high": f32(6)})
refuse("clip-dynamic", "low", [node("Identity", "x", "z"), node("GlobalAveragePool", "z", "g"), node("Squeeze", "g", "low"),
                               node("Clip", "x low")], shape=(1, 1, 5, 4))
refuse("sigmoid", "", [node("Sigmoid", "x")])

# ---- Pools

def pool(name, op="MaxPool", shape=(1, 2, 7, 6), refused=None, opset=13, kernel=(3, 3), outputs="y", **kw):
    add(name, [node(op, "x", outputs, kernel_shape=list(kernel), **kw)], shape=shape, refused=refused, opset=opset)


pool("maxpool", strides=[2, 2])
pool("maxpool-default-stride", kernel=(2, 2))
pool("maxpool-7", strides=[2, 2], opset=7)
pool("maxpool-22", strides=[2, 2], opset=22)
pool("maxpool-ceil", strides=[2, 2], ceil_mode=1, shape=(1, 2, 8, 6))
pool("maxpool-ceil-pad", kernel=(2, 2), strides=[2, 2], pads=[0, 1, 0, 1], ceil_mode=1, shape=(1, 2, 7, 7))
pool("maxpool-ceil-last-in-pad", kernel=(1, 1), strides=[2, 2], ceil_mode=1, shape=(1, 2, 4, 4))
pool("maxpool-pads", strides=[2, 2], pads=[1, 0, 2, 1])
pool("maxpool-1x2", kernel=(1, 2), strides=[2, 2])
pool("maxpool-3x2", kernel=(3, 2), strides=[1, 1], pads=[1, 1, 0, 0])
pool("maxpool-same-upper", auto_pad="SAME_UPPER", strides=[2, 2])
pool("maxpool-same-lower", auto_pad="SAME_LOWER", strides=[2, 2], kernel=(2, 2), shape=(1, 2, 7, 5))
pool("maxpool-valid", auto_pad="VALID", strides=[2, 2])
pool("maxpool-storage-order", strides=[2, 2], storage_order=1)
pool("maxpool-strides", strides=[2, 1], refused="strides")
pool("maxpool-dilation", dilations=[2, 2], refused="dilations")
pool("maxpool-indices-unread", strides=[2, 2], outputs="y indices")
refuse("maxpool-indices", "", [node("MaxPool", "x", "y indices", kernel_shape=[2, 2])], outputs=["y", "indices"],
       change=lambda m: setattr(m.graph.output[1].type.tensor_type, "elem_type", TensorProto.INT64))
refuse("maxpool-no-kernel", "kernel_shape", [node("MaxPool", "x")], broken=True)
refuse("maxpool-kernel-0", "", [node("MaxPool", "x", kernel_shape=[0, 0])], broken=True)

pool("averagepool", "AveragePool", strides=[2, 2])
pool("averagepool-7", "AveragePool", strides=[2, 2], opset=7)
pool("averagepool-exclude", "AveragePool", strides=[2, 2], pads=[1, 1, 1, 1])
pool("averagepool-include", "AveragePool", strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
pool("averagepool-pads-exclude", "AveragePool", strides=[2, 2], pads=[2, 0, 1, 1])
pool("averagepool-pads-include", "AveragePool", strides=[2, 2], pads=[0, 1, 1, 2], count_include_pad=1)
pool("averagepool-ceil", "AveragePool", strides=[2, 2], ceil_mode=1, shape=(1, 2, 8, 6))
pool("averagepool-ceil-exclude", "AveragePool", strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, shape=(1, 2, 8, 6), opset=19)
pool("averagepool-ceil-include", "AveragePool", strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1, count_include_pad=1,
     shape=(1, 2, 8, 6), opset=19)
pool("averagepool-2x3", "AveragePool", kernel=(2, 3), strides=[2, 2], pads=[1, 0, 0, 1])
pool("averagepool-same-upper", "AveragePool", auto_pad="SAME_UPPER", strides=[2, 2])
pool("averagepool-same-lower", "AveragePool", auto_pad="SAME_LOWER", kernel=(2, 2), strides=[2, 2], shape=(1, 2, 7, 5))
pool("averagepool-strides", "AveragePool", strides=[1, 2], refused="strides")
pool("averagepool-dilation", "AveragePool", dilations=[2, 2], opset=19, refused="dilations")

add("globalaveragepool", [node("GlobalAveragePool", "x")])
add("globalaveragepool-22", [node("GlobalAveragePool", "x")], opset=22)
refuse("globalmaxpool", "", [node("GlobalMaxPool", "x")])

# ---- Concat, Add

BRANCHES = [node("Conv", "x w", "a"), node("Conv", "x v", "c")]
BRANCH_WEIGHTS = {"w": weights(3, 2, 1, 1), "v": weights(3, 2, 1, 1, start=1100)}
add("concat", BRANCHES + [node("Concat", "a c", axis=1)], BRANCH_WEIGHTS, layers="conv.a conv.c concat.y")
add("concat-7", BRANCHES + [node("Concat", "a c", axis=1)], BRANCH_WEIGHTS, opset=7)
add("concat-negative", BRANCHES + [node("Concat", "c a x", axis=-3)], BRANCH_WEIGHTS)
add("concat-one", [node("Concat", "x", axis=1)])
add("concat-same", [node("Relu", "x", "a"), node("Concat", "a a", axis=1)])
refuse("concat-batch", "axis", BRANCHES + [node("Concat", "a c", axis=0)], BRANCH_WEIGHTS)
refuse("concat-height", "axis", BRANCHES + [node("Concat", "a c", axis=2)], BRANCH_WEIGHTS)
refuse("concat-width", "axis", BRANCHES + [node("Concat", "a c", axis=-1)], BRANCH_WEIGHTS)
refuse("concat-axis-4", "axis", BRANCHES + [node("Concat", "a c", axis=4)], BRANCH_WEIGHTS, broken=True)
refuse("concat-no-axis", "axis", BRANCHES + [node("Concat", "a c")], BRANCH_WEIGHTS, broken=True)
refuse("concat-sizes", "", [node("Conv", "x w", "a", pads=[1, 1, 1, 1]), node("Concat", "a x", axis=1)],
       {"w": weights(2, 2, 1, 1)}, broken=True)
refuse("concat-constant", "constant", [node("Concat", "x k", axis=1)], {"k": weights(1, 2, 5, 4)})

add("add", BRANCHES + [node("Add", "a c")], BRANCH_WEIGHTS, layers="conv.a conv.c add.y")
add("add-7", BRANCHES + [node("Add", "a c")], BRANCH_WEIGHTS, opset=7)
add("add-relu", BRANCHES + [node("Add", "a c", "s"), node("Relu", "s")], BRANCH_WEIGHTS)
add("add-twice", [node("Relu", "x", "a"), node("Add", "a a")])
add("add-input", [node("Conv", "x w", "a", pads=[1, 1, 1, 1]), node("Add", "a x")], {"w": weights(2, 2, 3, 3)})
add("add-channel-bias", [node("Conv", "x w b", "h"), node("Add", "h k")],
    {"w": weights(4, 2, 3, 3), "b": bias(4), "k": bias(4, 2100).reshape(4, 1, 1)})
add("add-channel-bias-first", [node("Conv", "x w", "h"), node("Add", "k h")],
    {"w": weights(4, 2, 3, 3), "k": bias(4, 2100).reshape(1, 4, 1, 1)})
refuse("add-broadcast", "", [node("GlobalAveragePool", "x", "g"), node("Add", "x g")])
refuse("add-broadcast-batch", "", [node("Conv", "x w", "h"), node("Add", "h k")],
       {"w": weights(4, 2, 3, 3), "k": weights(4, 3, 2)})
refuse("add-constant", "constant", [node("Relu", "x", "h"), node("Add", "h k")], {"k": weights(1, 2, 5, 4)})
refuse("mul", "", BRANCHES + [node("Mul", "a c")], BRANCH_WEIGHTS)

# ---- Gemm, MatMul

FEATURES = 2 * 5 * 4


def gemm(name, b=None, c=None, refused=None, opset=13, layers=None, **kw):
    init = {"w": weights(3, FEATURES) if b is None else b}
    if c is not None:
        init["b"] = c
    add(name, [node("Flatten", "x", "f"), node("Gemm", "f w b" if c is not None else "f w", **kw)], init,
        opset=opset, refused=refused, layers=layers)


gemm("gemm", c=bias(3), transB=1, layers="gemm.y")
gemm("gemm-7", c=bias(3), transB=1, opset=7)
gemm("gemm-no-bias", transB=1)
gemm("gemm-not-transposed", weights(FEATURES, 3), bias(3))
gemm("gemm-alpha", c=bias(3), transB=1, alpha=0.5)
gemm("gemm-beta", c=bias(3), transB=1, beta=0.25)
gemm("gemm-alpha-beta", weights(FEATURES, 3), bias(3), alpha=-2.0, beta=3.0)
gemm("gemm-row-bias", c=bias(3).reshape(1, 3), transB=1)
gemm("gemm-scalar-bias", c=f32(0.75), transB=1)
gemm("gemm-one-bias", c=f32([0.75]), transB=1)
refuse("gemm-transposed-input", "transA", [node("Flatten", "x", "f"), node("Gemm", "f w", transA=1)], {"w": weights(1, 3)})
refuse("gemm-dynamic", "g", [node("Flatten", "x", "f"), node("Flatten", "x", "g"), node("Gemm", "f g", transB=1)])
refuse("gemm-weights", "w", [node("Flatten", "x", "f"), node("Gemm", "f w", transB=1)], {"w": weights(3, FEATURES + 1)}, broken=True)
refuse("gemm-bias-column", "b", [node("Flatten", "x", "f"), node("Gemm", "f w b", transB=1)],
       {"w": weights(3, FEATURES), "b": bias(4).reshape(4, 1)}, broken=True)
add("gemm-1x1", [node("GlobalAveragePool", "x", "g"), node("Flatten", "g", "f"), node("Gemm", "f w b", transB=1)],
    {"w": weights(3, 2), "b": bias(3)})
add("gemm-gemm", [node("Flatten", "x", "f"), node("Gemm", "f w b", "h", transB=1), node("Relu", "h", "r"),
                  node("Gemm", "r v c")],
    {"w": weights(6, FEATURES), "b": bias(6), "v": weights(6, 3, start=1300), "c": bias(3, 2100)},
    shape=(2, 2, 5, 4), declared=("batch", 2, 5, 4))

add("matmul", [node("Flatten", "x", "f"), node("MatMul", "f w")], {"w": weights(FEATURES, 3)}, layers="matmul.y")
add("matmul-add", [node("Flatten", "x", "f"), node("MatMul", "f w", "h"), node("Add", "h b")],
    {"w": weights(FEATURES, 3), "b": bias(3)}, layers="matmul.h")
add("matmul-add-first", [node("Flatten", "x", "f"), node("MatMul", "f w", "h"), node("Add", "b h")],
    {"w": weights(FEATURES, 3), "b": bias(3).reshape(1, 3)}, opset=7)
add("matmul-add-scalar", [node("Flatten", "x", "f"), node("MatMul", "f w", "h"), node("Add", "h b")],
    {"w": weights(FEATURES, 3), "b": f32(0.5)})
add("matmul-transposed-constant", [node("Flatten", "x", "f"), node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "f t")],
    {"w": weights(3, FEATURES)})
refuse("matmul-left", "", [node("Flatten", "x", "f"), node("Reshape", "f s", "t"), node("MatMul", "w t")],
       {"w": weights(3, FEATURES), "s": i64(FEATURES, 1)}, bad=None)
refuse("matmul-images", "", [node("MatMul", "x w")], {"w": weights(4, 3)})
refuse("matmul-weights", "w", [node("Flatten", "x", "f"), node("MatMul", "f w")], {"w": weights(FEATURES - 1, 3)}, broken=True)

# ---- LRN, BatchNormalization, Dropout, Softmax

add("lrn", [node("LRN", "x", size=3)], shape=(1, 5, 3, 2))
add("lrn-7", [node("LRN", "x", size=5, alpha=0.5, beta=0.75, bias=2.0)], shape=(1, 9, 3, 2), opset=7)
refuse("lrn-even", "", [node("LRN", "x", size=4)], shape=(1, 5, 3, 2), broken=True)
refuse("lrn-beta", "0.5", [node("LRN", "x", size=3, beta=0.5)], shape=(1, 5, 3, 2))
refuse("lrn-size-0", "size", [node("LRN", "x", size=0)], broken=True)
refuse("lrn-no-size", "size", [node("LRN", "x")], broken=True)


def norm(n, start=3000):
    return {"scale": numbers((n,), start, 0.25) + 1.5, "shift": numbers((n,), start + 50, 0.25), "mean": numbers((n,), start + 100, 0.25),
            "var": abs(numbers((n,), start + 150)) + 0.5}


NORM = "scale shift mean var"
add("batchnorm", [node("BatchNormalization", "x " + NORM)], norm(2), layers="batchnormalization.y")
add("batchnorm-7", [node("BatchNormalization", "x " + NORM, epsilon=0.25)], norm(2), opset=7)
add("batchnorm-14", [node("BatchNormalization", "x " + NORM, momentum=0.5)], norm(2), opset=14)
add("batchnorm-15", [node("BatchNormalization", "x " + NORM, epsilon=0.25)], norm(2), opset=15)
add("batchnorm-relu", [node("BatchNormalization", "x " + NORM, "h"), node("Relu", "h")], norm(2))
add("batchnorm-conv", [node("Conv", "x w b", "h", pads=[1, 1, 1, 1]), node("BatchNormalization", "h " + NORM, epsilon=0.25)],
    {"w": weights(4, 2, 3, 3), "b": bias(4), **norm(4)}, layers="conv.h")
add("batchnorm-conv-no-bias", [node("Conv", "x w", "h"), node("BatchNormalization", "h " + NORM, "z"), node("Relu", "z")],
    {"w": weights(4, 2, 3, 3), **norm(4)}, layers="conv.h relu.y")
add("batchnorm-conv-groups", [node("Conv", "x w b", "h", group=2), node("BatchNormalization", "h " + NORM)],
    {"w": weights(4, 1, 3, 3), "b": bias(4), **norm(4)}, layers="conv.h")
add("batchnorm-twice", [node("Conv", "x w", "h"), node("BatchNormalization", "h " + NORM, "i"), node("BatchNormalization", "i " + NORM)],
    {"w": weights(4, 2, 3, 3), **norm(4)}, layers="conv.h")
add("batchnorm-conv-read-twice", [node("Conv", "x w", "h"), node("BatchNormalization", "h " + NORM, "i"), node("Add", "h i")],
    {"w": weights(4, 2, 3, 3), **norm(4)}, layers="conv.h batchnormalization.i add.y")
add("batchnorm-conv-output", [node("Conv", "x w", "h"), node("BatchNormalization", "h " + NORM)],
    {"w": weights(4, 2, 3, 3), **norm(4)}, outputs=["y", "h"])
add("batchnorm-shared-weights", [node("Conv", "x w", "g"), node("BatchNormalization", "g " + NORM, "h"), node("Conv", "x w", "i"),
                                 node("Add", "h i")], {"w": weights(4, 2, 3, 3), **norm(4)})
add("batchnorm-before-conv", [node("BatchNormalization", "x " + NORM, "h"), node("Conv", "h w b", pads=[1, 1, 1, 1])],
    {"w": weights(4, 2, 3, 3), "b": bias(4), **norm(2)})
add("batchnorm-gemm", [node("Flatten", "x", "f"), node("Gemm", "f w b", "h", transB=1), node("BatchNormalization", "h " + NORM)],
    {"w": weights(3, FEATURES), "b": bias(3), **norm(3)})
refuse("batchnorm-not-spatial", "spatial", [node("BatchNormalization", "x " + NORM, spatial=0)],
       {k: np.tile(v[:, None, None], (1, 5, 4)) for k, v in norm(2).items()}, opset=7)
refuse("batchnorm-training", "training_mode", [node("BatchNormalization", "x " + NORM, "y m v", training_mode=1)], norm(2), opset=15)
refuse("batchnorm-sizes", "", [node("BatchNormalization", "x " + NORM)], norm(3), broken=True)
refuse("batchnorm-dynamic", "mean", [node("GlobalAveragePool", "x", "g"), node("Squeeze", "g", "mean"), node("BatchNormalization", "x " + NORM)],
       {k: v for k, v in norm(2).items() if k != "mean"})

add("dropout-7", [node("Relu", "x", "h"), node("Dropout", "h", ratio=0.25)], opset=7, layers="relu.h dropout.y")
add("dropout-10-mask", [node("Dropout", "x", "d mask"), node("Relu", "d")], opset=10)
add("dropout-12", [node("Dropout", "x ratio", "d mask"), node("Relu", "d")], {"ratio": f32(0.25)}, opset=12)
add("dropout-13", [node("Dropout", "x ratio training", "d"), node("Relu", "d")], {"ratio": f32(0.25), "training": np.array(False)})
add("dropout-22", [node("Dropout", "x", "d"), node("Relu", "d")], opset=22)
refuse("dropout-training", "training_mode", [node("Dropout", "x ratio training", "d"), node("Relu", "d")],
       {"ratio": f32(0.25), "training": np.array(True)}, bad=0)
refuse("dropout-no-value", "training", [node("Dropout", "x ratio training")], {"ratio": f32(0.25), "training": TensorProto(
    name="training", data_type=TensorProto.BOOL)}, broken=True)
refuse("dropout-mask", "", [node("Dropout", "x", "y mask")], outputs=["y", "mask"],
       change=lambda m: setattr(m.graph.output[1].type.tensor_type, "elem_type", TensorProto.BOOL))

GAP = node("GlobalAveragePool", "x", "g")
add("softmax", [GAP, node("Softmax", "g", axis=1)], shape=(1, 6, 2, 3), layers="globalaveragepool.g softmax.y")
add("softmax-13-negative", [GAP, node("Flatten", "g", "f"), node("Softmax", "f", axis=-1)], shape=(1, 6, 2, 3))
add("softmax-13-default", [GAP, node("Flatten", "g", "f"), node("Softmax", "f")], shape=(1, 6, 2, 3))
add("softmax-13-pixels", [node("Softmax", "x", axis=1)], shape=(1, 6, 2, 3))
add("softmax-13-pixels-negative", [node("Softmax", "x", axis=-3)], shape=(1, 6, 2, 3))
add("softmax-11", [GAP, node("Softmax", "g", axis=1)], shape=(1, 6, 2, 3), opset=11)
add("softmax-7-default", [GAP, node("Softmax", "g")], shape=(1, 6, 2, 3), opset=7)
add("softmax-11-batch", [GAP, node("Softmax", "g")], shape=(3, 6, 2, 3), declared=("N", 6, 2, 3), opset=11)
refuse("softmax-13-default-width", "axis", [GAP, node("Softmax", "g")], shape=(1, 6, 2, 3))
refuse("softmax-13-height", "axis", [node("Softmax", "x", axis=2)], shape=(1, 6, 2, 3))
refuse("softmax-13-batch", "axis", [node("Softmax", "x", axis=0)], shape=(1, 6, 2, 3))
refuse("softmax-11-image", "", [node("Softmax", "x", axis=1)], shape=(1, 6, 2, 3), opset=11)
refuse("softmax-11-height", "axis", [node("Softmax", "x", axis=2)], shape=(1, 6, 2, 3), opset=11)
refuse("softmax-flat-image", "", [node("Flatten", "x", "f"), node("Softmax", "f", axis=1)], shape=(1, 6, 2, 3))
add("logits-prob", [GAP, node("Flatten", "g", "logits"), node("Softmax", "logits", "prob")], outputs=["logits", "prob"],
    shape=(1, 6, 2, 3))

# ---- Reshapes, and other nodes that compute nothing


def dropped(name, *nodes, init={}, shape=(1, 6, 1, 1), **kw):
    """A case whose nodes between a relu and a dropout leave nothing behind."""
    add(name, [node("Relu", "x", "r"), *nodes, node("Dropout", nodes[-1].output[0])], init, shape=shape,
        layers="relu.r dropout.y", **kw)


def kept(name, refused, *nodes, init={}, shape=(1, 6, 2, 3), bad=1, **kw):
    refuse(name, refused, [node("Relu", "x", "r"), *nodes, node("Dropout", nodes[-1].output[0])], init, shape=shape, bad=bad, **kw)


def constant(name, value):
    return node("Constant", "", name, value=tensor("", value))


dropped("flatten", node("Flatten", "r", "f"), shape=(1, 6, 2, 3))
dropped("flatten-7", node("Flatten", "r", "f", axis=1), shape=(1, 6, 2, 3), opset=7)
dropped("flatten-negative", node("Flatten", "r", "f", axis=-3), shape=(1, 6, 2, 3))
dropped("flatten-0", node("Flatten", "r", "f", axis=0), shape=(1, 6, 2, 3))
kept("flatten-last", "", node("Flatten", "r", "f", axis=2), shape=(1, 6, 1, 1))
kept("flatten-2", "", node("Flatten", "r", "f", axis=2))
kept("flatten-5", "axis", node("Flatten", "r", "f", axis=5), broken=True)
dropped("reshape", node("Reshape", "r s", "f"), init={"s": i64(1, 36)}, shape=(1, 6, 2, 3))
dropped("reshape-7", node("Reshape", "r s", "f"), init={"s": i64(1, -1)}, shape=(1, 6, 2, 3), opset=7)
dropped("reshape-0", node("Reshape", "r s", "f"), init={"s": i64(0, -1)}, shape=(1, 6, 2, 3))
dropped("reshape-0-0", node("Reshape", "r s", "f"), init={"s": i64(0, 0, 1, -1)})
dropped("reshape-batch", node("Reshape", "r s", "f"), init={"s": i64(-1, 36)}, shape=(2, 6, 2, 3), declared=("N", 6, 2, 3))
dropped("reshape-batch-0", node("Reshape", "r s", "f"), init={"s": i64(0, -1)}, shape=(2, 6, 2, 3), declared=("N", 6, 2, 3))
dropped("reshape-constant", constant("s", i64(-1, 6)), node("Reshape", "r s", "f"))
dropped("reshape-ints", node("Constant", "", "s", value_ints=[1, 6]), node("Reshape", "r s", "f"))
dropped("reshape-back", node("Reshape", "r s", "f"), node("Reshape", "f t", "g"), init={"s": i64(1, 36), "t": i64(1, 36, 1, 1)},
        shape=(1, 6, 2, 3))
dropped("reshape-rows", node("Reshape", "r s", "f"), init={"s": i64(1, 6, 6)}, shape=(1, 6, 2, 3))


def reshaped(name, shape, *nodes, init={}):
    """Images that a reshape makes of others are none to convolutions and pools."""
    refuse(name, "", [node("Reshape", "x s", "r"), *nodes], {"s": i64(*shape), **init}, shape=(1, 6, 2, 3))


reshaped("reshape-swap", (1, 6, 3, 2), node("MaxPool", "r", kernel_shape=[1, 2]))
reshaped("reshape-channels", (1, 3, 4, 3), node("Conv", "r w"), init={"w": weights(2, 3, 1, 1)})
reshaped("reshape-pixels", (1, 36, 1, 1), node("Conv", "r w"), init={"w": weights(2, 36, 1, 1)})
reshaped("reshape-concat", (1, 3, 4, 3), node("Concat", "r r", axis=1))
reshaped("reshape-average", (1, 3, 4, 3), node("GlobalAveragePool", "r"))
reshaped("reshape-lrn", (1, 3, 4, 3), node("LRN", "r", size=3))
reshaped("reshape-softmax", (1, 3, 4, 3), node("Softmax", "r", axis=1))
kept("reshape-to-batch", "", node("Reshape", "r s", "f"), init={"s": i64(2, 18)})
kept("reshape-count", "", node("Reshape", "r s", "f"), init={"s": i64(1, 35)}, broken=True)
kept("reshape-two-unknown", "", node("Reshape", "r s", "f"), init={"s": i64(-1, -1)}, broken=True)
kept("reshape-absurd", "", node("Reshape", "r s", "f"), init={"s": i64(1 << 62, 1 << 62)}, broken=True)
kept("reshape-dynamic", "", node("Shape", "r", "s"), node("Reshape", "r s", "f"))
dropped("squeeze-7", node("Squeeze", "r", "f", axes=[2, 3]), opset=7)
dropped("squeeze", node("Squeeze", "r a", "f"), init={"a": i64(3, -2)})
dropped("squeeze-all", node("Squeeze", "r", "f"))
dropped("unsqueeze-7", node("Flatten", "r", "f"), node("Unsqueeze", "f", "u", axes=[2, 3]), opset=7)
dropped("unsqueeze", node("Flatten", "r", "f"), node("Unsqueeze", "f a", "u"), init={"a": i64(-1, 2)})
kept("squeeze-not-1", "", node("Squeeze", "r a", "f"), init={"a": i64(2)}, broken=True)
dropped("transpose", node("Transpose", "r", "f", perm=[0, 2, 3, 1]))
dropped("transpose-identity", node("Transpose", "r", "f", perm=[0, 1, 2, 3]), shape=(1, 6, 2, 3))
dropped("transpose-twice", node("Transpose", "r", "f", perm=[0, 2, 3, 1]), node("Flatten", "f", "g"))
kept("transpose-nhwc", "perm", node("Transpose", "r", "f", perm=[0, 2, 3, 1]))
kept("transpose-default", "", node("Transpose", "r", "f"))
kept("transpose-perm", "perm", node("Transpose", "r", "f", perm=[0, 1, 2, 2]), broken=True)
dropped("identity", node("Identity", "r", "f"), shape=DEFAULT_SHAPE)
dropped("identity-7", node("Identity", "r", "f"), shape=DEFAULT_SHAPE, opset=7)
add("identity-first", [node("Identity", "x", "i"), node("Relu", "i")], layers="relu.y")
add("identity-last", [node("Relu", "x", "r"), node("Identity", "r")], layers="relu.r")
add("identity-initializer", [node("Identity", "w0", "w"), node("Conv", "x w")], {"w0": weights(4, 2, 3, 3)}, layers="conv.y")
dropped("cast-half", node("Cast", "r", "f", to=TensorProto.FLOAT16), node("Cast", "f", "g", to=TensorProto.FLOAT), shape=DEFAULT_SHAPE)
kept("cast-int", "", node("Cast", "r", "f", to=TensorProto.INT32), node("Cast", "f", "g", to=TensorProto.FLOAT))
add("cast-weights", [node("Cast", "h", "w", to=TensorProto.FLOAT), node("Conv", "x w")],
    {"h": weights(4, 2, 3, 3).astype(np.float16)}, layers="conv.y")
add("constant-weights", [constant("w", weights(4, 2, 3, 3)), node("Constant", "", "b", value_floats=[1.0, 2.0, -3.0, 0.5]),
                         node("Conv", "x w b")], layers="conv.y")
refuse("constant-string", "", [node("Constant", "", "w", value_string="a"), node("Conv", "x w")], bad=None, broken=True)
refuse("constant-output", "", [constant("y", weights(1, 2))], bad=None)
refuse("input-output", "", [node("Relu", "x", "r")], outputs=["x"], bad=None, broken=True)

# ---- How initializers are stored


def stored(name, t, refused=None, init={}, **kw):
    add(name, [node("Conv", "x w")], {"w": t, **init}, refused=refused, broken=refused is not None, bad=None, **kw)


def typed(data_type, values, dims=(4, 2, 3, 3)):
    return helper.make_tensor("w", data_type, dims, values)


def raw(data_type, data, dims=(4, 2, 3, 3)):
    return TensorProto(name="w", data_type=data_type, dims=dims, raw_data=data)


W = weights(4, 2, 3, 3)
stored("initializer-typed", typed(TensorProto.FLOAT, W.ravel()))
stored("initializer-input", W, also_inputs=True, ir=3, opset=8)
stored("initializer-short", raw(TensorProto.FLOAT, W.tobytes()[:-4]), "w")
stored("initializer-long", raw(TensorProto.FLOAT, W.tobytes() + b"\0\0\0\0"), "w")
stored("initializer-odd", raw(TensorProto.FLOAT, W.tobytes()[:-1]), "w")
stored("initializer-empty", raw(TensorProto.FLOAT, b""), "w")
stored("initializer-typed-short", TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(4, 2, 3, 3), float_data=W.ravel()[1:]), "w")
stored("initializer-wrong-field", TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(4, 2, 3, 3), int64_data=range(72)), "w")
stored("initializer-dim-negative", raw(TensorProto.FLOAT, W.tobytes(), (4, 2, -3, -3)), "w")
stored("initializer-dim-absurd", raw(TensorProto.FLOAT, W.tobytes(), (1 << 31, 1 << 31, 1 << 31, 1 << 31)), "w")
stored("initializer-dim-overflow", raw(TensorProto.FLOAT, b"", (1 << 32, 1 << 32, 1, 1)), "w")
stored("initializer-huge", raw(TensorProto.FLOAT, b"", (1 << 14, 1 << 14, 3, 3)), "w")
stored("initializer-dim-0", raw(TensorProto.FLOAT, b"", (1 << 30, 0, 3, 3)), "w")
stored("initializer-dim-0-1", raw(TensorProto.FLOAT, b"", (4, 2, 0, 1 << 30)), "")
stored("initializer-scalar", raw(TensorProto.FLOAT, W.tobytes()[:4], ()), "w")
stored("initializer-dims-many", raw(TensorProto.FLOAT, W.tobytes()[:4], (1,) * 100), "")
stored("initializer-no-type", raw(TensorProto.UNDEFINED, W.tobytes()), "w")
stored("initializer-int-floats", TensorProto(name="w", data_type=TensorProto.INT32, dims=(4, 2, 3, 3), float_data=W.ravel()), "w")
stored("initializer-type", raw(99, W.tobytes()), "w")
stored("initializer-string", TensorProto(name="w", data_type=TensorProto.STRING, dims=(4, 2, 3, 3), string_data=[b"1"] * 72), "w")
stored("initializer-nan", np.where(W == W[0, 0, 0, 0], np.float32(np.nan), W), "w")
refuse("initializer-twice", "w", [node("Conv", "x w")], {"w": W}, bad=None, broken=True,
       change=lambda m: m.graph.initializer.append(m.graph.initializer[0]))
refuse("initializer-sparse", "", [node("Conv", "x w")], bad=None, broken=True,
       change=lambda m: m.graph.sparse_initializer.append(helper.make_sparse_tensor(
           helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]), helper.make_tensor("i", TensorProto.INT64, [1], [5]), [4, 2, 3, 3])))

# ---- float16

HALF = W.astype(np.float16)


def half(name, t, twin=None):
    """A model of float16 gives the result of the same numbers in float32."""
    add(name, [node("Conv", "x w b", "h"), node("Relu", "h")], {"w": t, "b": bias(4).astype(np.float16)},
        input_type=TensorProto.FLOAT16, output_type=TensorProto.FLOAT16, twin="half-twin")


add("half-twin", [node("Conv", "x w b", "h"), node("Relu", "h")],
    {"w": HALF.astype(np.float32), "b": bias(4).astype(np.float16).astype(np.float32)})
half("half-raw", HALF)
half("half-typed", TensorProto(name="w", data_type=TensorProto.FLOAT16, dims=(4, 2, 3, 3), int32_data=HALF.view(np.uint16).ravel()))
add("half-inside", [node("Cast", "x", "i", to=TensorProto.FLOAT16), node("Conv", "i w b", "h"), node("Relu", "h", "r"),
                    node("Cast", "r", "y", to=TensorProto.FLOAT)], {"w": HALF, "b": bias(4).astype(np.float16)}, twin="half-twin",
    layers="conv.h relu.r")

# ---- External data


def external(**entries):
    t = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=(4, 2, 3, 3), data_location=TensorProto.EXTERNAL)
    for k, v in entries.items():
        t.external_data.add(key=k, value=str(v))
    return t


BYTES = b"before  " + W.tobytes() + b"after"
FILES = {"weights.bin": BYTES, "sub/weights.bin": BYTES}
stored("external", external(location="weights.bin", offset=8, length=4 * 72), files=FILES)
stored("external-no-length", external(location="exact.bin"), files={"exact.bin": W.tobytes()})
stored("external-folder", external(location="sub/weights.bin", offset=8, length=4 * 72), files=FILES)
stored("external-dot", external(location="./weights.bin", offset=8, length=4 * 72), files=FILES)
stored("external-missing", external(location="missing.bin"), "w missing.bin")
stored("external-up", external(location="../cases/weights.bin", offset=8, length=4 * 72), "w ../cases/weights.bin")
stored("external-up-inside", external(location="sub/../../cases/weights.bin", offset=8, length=4 * 72), "w")
stored("external-absolute", external(location="/etc/passwd", length=4 * 72), "w /etc/passwd")
stored("external-self", external(location="external-self.onnx", length=4 * 72), "w")
stored("external-is-folder", external(location="sub", length=4 * 72), "w")
stored("external-no-location", external(offset=8), "w location")
stored("external-offset-beyond", external(location="weights.bin", offset=1000, length=4 * 72), "w")
stored("external-offset-negative", external(location="weights.bin", offset=-8, length=4 * 72), "w")
stored("external-offset-overflow", external(location="weights.bin", offset=(1 << 63) - 8, length=4 * 72), "w")
stored("external-offset-text", external(location="weights.bin", offset="eight"), "w")
stored("external-length-beyond", external(location="weights.bin", offset=16, length=4 * 73), "w")
stored("external-length-short", external(location="weights.bin", offset=8, length=4 * 71), "w")
stored("external-length-absent", external(location="weights.bin", offset=100), "w")
stored("external-length-huge", external(location="weights.bin", offset=8, length=1 << 62), "w")

# ---- Graphs

RELU = [node("Relu", "x")]
refuse("opset-6", "6 7", RELU, opset=6, bad=None)
refuse("opset-23", "23 22", RELU, opset=23, bad=None)
refuse("opset-none", "opset", RELU, bad=None, broken=True, change=lambda m: m.ClearField("opset_import"))
add("domain-named", RELU, change=lambda m: (m.opset_import[0].ClearField("domain"), setattr(m.opset_import[0], "domain", "ai.onnx")))
refuse("domain-other", "com.example", [helper.make_node("Relu", ["x"], ["y"], name="relu.y", domain="com.example")], broken=True,
       domains=["com.example"])
refuse("op-unknown", "supported", [node("Frobnicate", "x")], broken=True)
refuse("op-empty", "", [node("", "x", name="empty")], broken=True)
refuse("batch-2", "2", RELU, shape=(2, 2, 5, 4), bad=None)
refuse("input-rank-3", "x", RELU, shape=(1, 2, 5), bad=None)
refuse("input-rank-5", "x", RELU, shape=(1, 2, 5, 4, 3), bad=None)
refuse("input-symbolic-height", "x", RELU, declared=(1, 2, "H", 4), bad=None)
refuse("input-uint8", "x", [node("MaxPool", "x", kernel_shape=[2, 2])], bad=None, input_type=TensorProto.UINT8,
       output_type=TensorProto.UINT8, opset=12, broken=True)
refuse("input-dim-0", "x", RELU, declared=(1, 2, 0, 4), bad=None, broken=True)
refuse("input-dim-negative", "x", RELU, declared=(1, 2, -5, 4), bad=None, broken=True)
refuse("input-absurd", "x", RELU, declared=(1, 1 << 40, 1 << 40, 4), bad=None, broken=True)
refuse("input-large", "x", RELU, declared=(1, 3, 1 << 20, 1 << 20), bad=None, broken=True)
refuse("input-typeless", "x", RELU, bad=None, broken=True, change=lambda m: m.graph.input[0].ClearField("type"))
refuse("input-none", "input", [node("Relu", "w")], {"w": W}, bad=None, broken=True, change=lambda m: m.graph.ClearField("input"))
refuse("input-two", "z", [node("Add", "x z")], bad=None, broken=True, change=lambda m: m.graph.input.add(name="z").CopyFrom(
    helper.make_tensor_value_info("z", TensorProto.FLOAT, DEFAULT_SHAPE)))
refuse("output-none", "output", RELU, bad=None, broken=True, change=lambda m: m.graph.ClearField("output"))
refuse("output-unknown", "", RELU, outputs=["z"], bad=None, broken=True)
add("output-two", [node("Conv", "x w", "h"), node("Relu", "h")], {"w": weights(4, 2, 3, 3)}, outputs=["y", "h"])
add("output-order", [node("Conv", "x w", "a"), node("GlobalAveragePool", "a", "g"), node("Relu", "a")],
    {"w": weights(4, 2, 3, 3)}, outputs=["g", "y"])
add("output-not-last", [node("Conv", "x w", "y"), node("Relu", "y", "r")], {"w": weights(4, 2, 3, 3)}, outputs=["y"], layers="conv.y")
add("dead-nodes", [node("Sigmoid", "x", "s"), node("Conv", "x w", "h"), node("Relu", "h"), node("Exp", "h", "e")],
    {"w": weights(4, 2, 3, 3), "unused": bias(4)}, outputs=["y"], layers="conv.h relu.y")
refuse("cycle", "", [node("Add", "x y", "h"), node("Relu", "h")], bad=None, broken=True)
refuse("self", "", [node("Add", "x y")], bad=None, broken=True)
refuse("value-missing", "z", [node("Add", "x z")], broken=True)
refuse("value-twice", "y", [node("Relu", "x"), node("Relu", "x")], bad=None, broken=True)
refuse("value-input-twice", "x", [node("Relu", "x", "x")], bad=None, broken=True)
refuse("value-initializer-twice", "w", [node("Relu", "x", "w"), node("Conv", "x w")], {"w": W}, bad=None, broken=True)
refuse("no-nodes", "", [node("Relu", "x")], bad=None, broken=True, change=lambda m: m.graph.ClearField("node"))
refuse("no-graph", "graph", RELU, bad=None, broken=True, change=lambda m: m.ClearField("graph"))
refuse("no-outputs", "", [helper.make_node("Relu", ["x"], [], name="nothing"), node("Relu", "x")], bad=None, broken=True)
refuse("no-inputs", "", [helper.make_node("Relu", [], ["y"], name="relu.y")], broken=True)
refuse("if", "", [helper.make_node("If", ["c"], ["y"], name="if.y",
                                   then_branch=helper.make_graph([node("Relu", "x", "a")], "t", [], [helper.make_tensor_value_info("a", TensorProto.FLOAT, None)]),
                                   else_branch=helper.make_graph([node("Neg", "x", "b")], "e", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]))],
       {"c": np.array(True)})
refuse("attribute-type", "pads", [node("Conv", "x w", pads="1")], {"w": W}, broken=True)
refuse("attribute-twice", "strides", [node("Conv", "x w", strides=[2, 2])], {"w": W}, broken=True,
       change=lambda m: m.graph.node[0].attribute.append(helper.make_attribute("strides", [1, 1])))
refuse("attribute-unknown", "frob", [node("Conv", "x w", frob=1)], {"w": W}, broken=True)
refuse("text-lines", "", [node("Conv", "x w", name="two\nlines", **{"a\nb": 1})], {"w": W}, bad=None, broken=True)
refuse("text-lines-op", "", [node("Re\nlu", "x", name="two\r\nlines")], bad=None, broken=True)
refuse("text-lines-value", "", [node("Relu", "two\nlines")], broken=True)
refuse("text-lines-external", "w", [node("Conv", "x w")], {"w": external(location="no\nfile")}, broken=True, bad=None)
refuse("text-lines-output", "", RELU, outputs=["two\nlines"], broken=True, bad=None)
refuse("text-lines-tensor", "", [helper.make_node("Conv", ["x", "two\nlines"], ["y"], name="conv.y")], {"two\nlines": W[:3, :1]}, broken=True)
add("names-lines", [node("Relu", "x", "h", name="two\nlines"), node("Relu", "h", "y")], layers="two%0Alines relu.y")
add("names-empty", [node("Conv", "x w", "first", name=""), node("Relu", "first", "y", name="")], {"w": W}, layers="first y")
add("names-taken", [node("Conv", "x w", "first", name="same"), node("Relu", "first", "y", name="same")], {"w": W}, layers="same y",
    reference=True)
add("names-slash", [node("Conv", "x w", "h", name="/features/0/Conv"), node("Relu", "h", "y", name="fire 2%-7")], {"w": W},
    layers=":features:0:Conv fire%202%25%2D7")
add("names-input", [node("Relu", "x", "h", name="input"), node("Relu", "h", "y", name="x")])


def ignored(m):
    m.doc_string, m.producer_name, m.producer_version, m.domain, m.model_version = "text", "someone", "1", "org", 7
    m.metadata_props.add(key="author", value="someone")
    m.graph.doc_string = "text"
    m.graph.node[0].doc_string = "text"
    m.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, (1, 4, 3, 2)))
    info = m.training_info.add()
    info.algorithm.CopyFrom(helper.make_graph([node("Sigmoid", "h", "t")], "train", [], [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)]))
    m.graph.quantization_annotation.add(tensor_name="h").quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")


add("ignored", [node("Conv", "x w", "h"), node("Relu", "h")], {"w": W}, change=ignored)

# ---- Quantized: pairs of QuantizeLinear and DequantizeLinear

U8, S8, S32 = np.uint8, np.int8, np.int32


def q(value, scale="s1", zero="z1", to=None):
    """Quantizes value, to value_q, and back, to value_d."""
    return [node("QuantizeLinear", f"{value} {scale} {zero}", f"{value}_q"),
            node("DequantizeLinear", f"{value}_q {scale} {zero}", f"{value}_d")]


def out(value="h", scale="s2", zero="z2"):
    return [node("QuantizeLinear", f"{value} {scale} {zero}", f"{value}_q"), node("DequantizeLinear", f"{value}_q {scale} {zero}", "y")]


def types(activation=U8, z1=131, z2=12, s1=0.031, s2=0.07, **more):
    """The types of the input and of the result. Zero points are those of uint8."""
    shift = 128 if activation == S8 else 0
    init = {"s1": f32(s1), "z1": np.array(np.array(z1) - shift, activation), "s2": f32(s2), "z2": np.array(z2 - shift, activation)}
    return {**init, **more}


def quantized_weights(shape, out, per_channel=True, dtype=S8, axis=0, start=4000, s1=0.031, zeros=True, biased=True, low=-63, high=63):
    """Weights wq of scale ws and zero point wz, and a bias bq of scale bs. They have 7 bits, so that no
    kernel of ONNX Runtime saturates."""
    zero = 128 if dtype == U8 else 0
    ws = (np.arange(out) % 5 * 0.001 + 0.0043).astype(np.float32) if per_channel else f32(0.0043)
    init = {"wq": ints(shape, start, low + zero, high + zero, dtype), "ws": ws}
    if zeros:
        init["wz"] = np.full(ws.shape, zero, dtype)
    if biased:
        init["bq"] = ints((out,), start + 500, -2000, 2000, S32)
        init["bs"] = (f32(s1) * ws).astype(np.float32)
        init["bz"] = np.zeros(ws.shape, S32)
    return init


DW = node("DequantizeLinear", "wq ws wz", "w", axis=0)
DB = node("DequantizeLinear", "bq bs bz", "b", axis=0)


def without_axis(n):
    """Opset 10 has no axes."""
    copy = onnx.NodeProto()
    copy.CopyFrom(n)
    if n.op_type == "DequantizeLinear":
        copy.ClearField("attribute")
    return copy


def qdq_conv(name, activation=U8, kernel=(3, 3), channels=2, out_channels=4, groups=1, relu=False, z2=12, opset=13, refused=None, bad=None,
             layers=None, change_init=None, dw=DW, db=DB, shape=None, declared=None, s2=0.07, broken=False, weight={}, **kw):
    init = {**types(activation, z2=z2, s2=s2), **quantized_weights((out_channels, channels // groups, *kernel), out_channels, **weight)}
    if change_init:
        change_init(init)
    if groups != 1:
        kw["group"] = groups
    biased = "bq" in init
    nodes = q("x") + [dw] + ([db] if biased else []) + [node("Conv", "x_d w b" if biased else "x_d w", "c" if relu else "h", **kw)]
    if relu:
        nodes.append(node("Relu", "c", "h"))
    nodes += out()
    if opset < 13:
        nodes = [without_axis(n) for n in nodes]
    if isinstance(bad, str):
        bad = [n.name for n in nodes].index(bad)
    add(name, nodes, init, opset=opset, exact=True, refused=refused, bad=bad, broken=broken, layers=layers, shape=shape or (1, channels, 5, 4),
        declared=declared)


add("qdq", q("x")[:1] + [node("DequantizeLinear", "x_q s1 z1")], types(), exact=True)
add("qdq-int8", q("x")[:1] + [node("DequantizeLinear", "x_q s1 z1")], types(S8), exact=True)
add("qdq-10", q("x")[:1] + [node("DequantizeLinear", "x_q s1 z1")], types(), exact=True, opset=10)
add("qdq-21", q("x")[:1] + [node("DequantizeLinear", "x_q s1 z1")], types(), exact=True, opset=21)
add("qdq-no-zero", [node("QuantizeLinear", "x s1", "x_q"), node("DequantizeLinear", "x_q s1")], types(), exact=True)
add("qdq-vector", q("x")[:1] + [node("DequantizeLinear", "x_q s1 z1")], types(s1=[0.031], z1=[131]), exact=True)
add("qdq-output-dtype", [node("QuantizeLinear", "x s1", "x_q", output_dtype=TensorProto.INT8), node("DequantizeLinear", "x_q s1")],
    types(), exact=True, opset=21)
add("qdq-requantize", q("x") + out("x_d"), types(), exact=True, plain=True)
qdq_conv("qdq-conv")
qdq_conv("qdq-conv-22", opset=22)
qdq_conv("qdq-conv-int8", S8)
qdq_conv("qdq-conv-relu", relu=True, z2=0)
qdq_conv("qdq-conv-relu-int8", S8, relu=True, z2=0)
qdq_conv("qdq-conv-relu-zero", relu=True, z2=12)
qdq_conv("qdq-conv-no-bias", weight=dict(biased=False))
qdq_conv("qdq-conv-per-tensor", weight=dict(per_channel=False))
qdq_conv("qdq-conv-10", opset=10, weight=dict(per_channel=False))
qdq_conv("qdq-conv-uint8-weights", weight=dict(dtype=U8, per_channel=False))
qdq_conv("qdq-conv-uint8-weights-int8", S8, weight=dict(dtype=U8, per_channel=False))
qdq_conv("qdq-conv-no-zero", weight=dict(zeros=False), dw=node("DequantizeLinear", "wq ws", "w", axis=0),
         db=node("DequantizeLinear", "bq bs", "b", axis=0))
qdq_conv("qdq-conv-pad", pads=[1, 0, 2, 1], strides=[2, 2])
qdq_conv("qdq-conv-groups", channels=4, groups=2)
qdq_conv("qdq-conv-depthwise", channels=4, groups=4, pads=[1, 1, 1, 1])
qdq_conv("qdq-conv-1x1", kernel=(1, 1), channels=6)
qdq_conv("qdq-conv-same", auto_pad="SAME_UPPER", strides=[2, 2])
qdq_conv("qdq-conv-batch", shape=(2, 2, 5, 4), declared=("N", 2, 5, 4))
qdq_conv("qdq-conv-saturate", s2=0.004)


def as_typed(init):
    """Stores all in the fields of the types, instead of as bytes."""
    for name, value in init.items():
        init[name] = helper.make_tensor(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape, value.ravel())


qdq_conv("qdq-conv-typed", change_init=as_typed)
qdq_conv("qdq-conv-typed-int8", S8, change_init=as_typed)
qdq_conv("qdq-weights-axis", channels=4, dw=node("DequantizeLinear", "wq ws wz", "w", axis=1), refused="wq axis", bad="conv.h")
qdq_conv("qdq-weights-scale-count", refused="ws", bad="dequantizelinear.w", change_init=lambda i: i.update(ws=i["ws"][:3], wz=i["wz"][:3]), broken=True)


def scale_case(name, value):
    qdq_conv(name, refused="scale", bad="quantizelinear.h_q", change_init=lambda i: i.update(s2=f32(value)), broken=True)


scale_case("qdq-scale-0", 0)
scale_case("qdq-scale-negative", -1)
scale_case("qdq-scale-nan", np.nan)
scale_case("qdq-scale-inf", np.inf)
refuse("qdq-per-channel", "", [node("QuantizeLinear", "x s z", "x_q", axis=1), node("DequantizeLinear", "x_q s z", axis=1)],
       {"s": f32([0.1, 0.2]), "z": np.array([3, 4], U8)}, bad=0)
refuse("qdq-block", "", [node("QuantizeLinear", "x s z", "x_q", axis=1, block_size=2), node("DequantizeLinear", "x_q s z", axis=1, block_size=2)],
       {"s": np.full((1, 1, 5, 4), 0.1, np.float32), "z": np.zeros((1, 1, 5, 4), U8)}, bad=0, opset=21)
refuse("qdq-int16", "", [node("QuantizeLinear", "x s z", "x_q"), node("DequantizeLinear", "x_q s z")], {"s": f32(0.1), "z": np.array(3, np.int16)},
       bad=0, opset=21)
refuse("qdq-dynamic-scale", "s", [node("GlobalAveragePool", "x", "g"), node("Squeeze", "g", "t"), node("Relu", "t", "s"), node("QuantizeLinear", "x s z", "x_q"),
                                  node("DequantizeLinear", "x_q s z")], {"z": np.array(3, U8)}, bad=3, shape=(1, 1, 5, 4))


TWO = q("x") + [DW, node("Conv", "x_d w", "a"), node("Relu", "x_d", "c")]
TWO_WEIGHTS = quantized_weights((2, 2, 1, 1), 2, biased=False)


def dequantized_weights(name, biased=True, dq=DW, change_init=None, **weight):
    """Weights that are stored as integers for a convolution of floating-point numbers."""
    init = quantized_weights((4, 2, 3, 3), 4, biased=biased, **weight)
    if change_init:
        change_init(init)
    add(name, [dq] + ([DB] if biased else []) + [node("Conv", "x w b" if biased else "x w")], init, layers="conv.y")


def as_floats(init):
    """Stores the numbers that the weights stand for, which the model then quantizes."""
    axes = (slice(None),) + (None,) * 3 if init["ws"].ndim else ...
    init["w0"] = (init.pop("wq").astype(np.float32) * init["ws"][axes]).astype(np.float32)


def float_weights(name, **kw):
    init = {**types(z2=60), **quantized_weights((4, 2, 3, 3), 4, **kw)}
    as_floats(init)
    add(name, q("x") + [node("QuantizeLinear", "w0 ws wz", "wq", axis=0), DW, DB, node("Conv", "x_d w b", "h")] + out(), init, exact=True)


float_weights("qdq-float-weights")
float_weights("qdq-float-weights-per-tensor", per_channel=False)
add("qdq-float-bias", q("x") + [DW, node("Conv", "x_d w b", "h")] + out(),
    {**types(z2=60), **quantized_weights((4, 2, 3, 3), 4, biased=False), "b": bias(4)}, exact=True)
add("qdq-residual", q("x") + [DW, node("Conv", "x_d w", "h")] + q("h", "s2", "z2") + [node("Add", "h_d x_d", "a"), node("Relu", "a", "r")] + q("r", "s3", "z3") + [
    node("Conv", "r_d w", "c")] + out("c", "s2", "z2"), {**types(z2=100), **TWO_WEIGHTS, "s3": f32(0.033), "z3": np.array(0, U8)}, exact=True)
add("qdq-two-readers", q("x") + [DW, node("Conv", "x_d w", "h")] + q("h", "s2", "z2") + [node("Relu", "h_d", "r"), node("Add", "r h_d")],
    {**types(z2=100), **TWO_WEIGHTS})
refuse("qdq-mismatch", "", [node("QuantizeLinear", "x s1 z1", "x_q"), node("DequantizeLinear", "x_q s2 z1")], types())
dequantized_weights("dq-weights")
dequantized_weights("dq-weights-per-tensor", per_channel=False)
dequantized_weights("dq-weights-uint8", biased=False, dtype=U8, per_channel=False, low=-128, high=127)
dequantized_weights("dq-weights-zeros", change_init=lambda i: i.update(wz=np.array([0, 5, -3, 127], S8)))
dequantized_weights("dq-weights-no-zero", biased=False, dq=node("DequantizeLinear", "wq ws", "w", axis=-4), zeros=False)
add("qdq-relu", q("x") + [node("Relu", "x_d", "h")] + out(), types(z2=0), exact=True)
add("qdq-maxpool", q("x") + [node("MaxPool", "x_d", "h", kernel_shape=[2, 2], strides=[2, 2])] + out("h", "s1", "z1"), types(), exact=True)
add("qdq-maxpool-int8", q("x") + [node("MaxPool", "x_d", "h", kernel_shape=[3, 3], pads=[1, 1, 1, 1])] + out("h", "s1", "z1"), types(S8), exact=True)
add("qdq-averagepool", q("x") + [node("AveragePool", "x_d", "h", kernel_shape=[2, 2], strides=[2, 2])] + out(), types(z2=100), exact=True)
add("qdq-globalaveragepool", q("x") + [node("GlobalAveragePool", "x_d", "h")] + out(), types(z2=100, s2=0.02), exact=True)
add("qdq-globalaveragepool-int8", q("x") + [node("GlobalAveragePool", "x_d", "h")] + out(), types(S8, z2=100, s2=0.02), exact=True)
add("qdq-flatten", q("x") + [node("Flatten", "x_d", "h")] + out("h", "s1", "z1"), types(), exact=True)

add("qdq-concat", TWO + q("a", "s2", "z2") + q("c", "s2", "z2") + [node("Concat", "a_d c_d", "h", axis=1)] + out(), {**types(z2=60), **TWO_WEIGHTS}, exact=True)
add("qdq-concat-scales", TWO + q("a", "s2", "z2") + q("c", "s1", "z1") + [node("Concat", "a_d c_d", "h", axis=1)] + out(), {**types(z2=60), **TWO_WEIGHTS}, exact=True)
add("qdq-add", TWO + q("a", "s2", "z2") + q("c", "s3", "z3") + [node("Add", "a_d c_d", "h")] + out(),
    {**types(z2=60), **TWO_WEIGHTS, "s3": f32(0.05), "z3": np.array(0, U8)}, exact=True)
add("qdq-add-relu", TWO + q("a", "s2", "z2") + q("c", "s3", "z3") + [node("Add", "a_d c_d", "g"), node("Relu", "g", "h")] + out("h", "s3", "z3"),
    {**types(z2=60), **TWO_WEIGHTS, "s3": f32(0.05), "z3": np.array(0, U8)}, exact=True)
add("qdq-float-after", q("x") + [DW, DB, node("Conv", "x_d w b", "h"), node("QuantizeLinear", "h s2 z2", "h_q"), node("DequantizeLinear", "h_q s2 z2", "h_d"),
                                 node("LRN", "h_d", size=3)], {**types(), **quantized_weights((4, 2, 3, 3), 4)})


def qdq_gemm(name, shape, op="Gemm", axis=0, activation=U8, refused=None, **kw):
    weight = dict(per_channel=kw.pop("per_channel", True), biased=op == "Gemm")
    init = {**types(activation, s2=0.5), **quantized_weights(shape, 3, **weight)}
    nodes = q("x") + [node("Flatten", "x_d", "f"), node("QuantizeLinear", "f s1 z1", "f_q"), node("DequantizeLinear", "f_q s1 z1", "f_d"),
                      node("DequantizeLinear", "wq ws wz", "w", axis=axis)]
    if op == "Gemm":
        nodes += [DB, node("Gemm", "f_d w b", "h", **kw)]
    else:
        nodes += [node("MatMul", "f_d w", "h")]
    add(name, nodes + out(), init, exact=True, refused=refused)


qdq_gemm("qdq-gemm", (3, FEATURES), transB=1)
qdq_gemm("qdq-gemm-int8", (3, FEATURES), transB=1, activation=S8)
qdq_gemm("qdq-gemm-per-tensor", (3, FEATURES), transB=1, per_channel=False)
qdq_gemm("qdq-gemm-not-transposed", (FEATURES, 3), axis=1)
qdq_gemm("qdq-matmul", (FEATURES, 3), "MatMul", axis=1)
qdq_gemm("qdq-matmul-per-tensor", (FEATURES, 3), "MatMul", axis=1, per_channel=False)

# ---- Quantized: QLinear operators, as in the ONNX zoo's files


def ms(op, inputs, outputs, **attributes):
    n = node(op, inputs, outputs, **attributes)
    n.domain = "com.microsoft"
    return n


QX = node("QuantizeLinear", "x s1 z1", "x_q")
DY = node("DequantizeLinear", "h s2 z2")


def qlinear_conv(name, activation=U8, biased=True, weight={}, change_init=None, refused=None, broken=False, shape=None, **kw):
    init = {**types(activation), **quantized_weights((4, 2, 3, 3), 4, biased=biased, **weight)}
    init.pop("bs", None)
    init.pop("bz", None)
    if change_init:
        change_init(init)
    inputs = "x_q s1 z1 wq ws wz s2 z2" + (" bq" if biased else "")
    add(name, [QX, node("QLinearConv", inputs, "h", **kw), DY], init, exact=True, refused=refused, bad=1, opset=10, broken=broken, shape=shape)


qlinear_conv("qlinearconv")
qlinear_conv("qlinearconv-int8", S8)
qlinear_conv("qlinearconv-no-bias", biased=False)
qlinear_conv("qlinearconv-per-tensor", weight=dict(per_channel=False))
qlinear_conv("qlinearconv-uint8-weights", weight=dict(per_channel=False, dtype=U8))
qlinear_conv("qlinearconv-pads", pads=[1, 1, 1, 0], strides=[2, 2])
qlinear_conv("qlinearconv-dilation", dilations=[2, 2], shape=(1, 2, 7, 7), refused="dilations")
qlinear_conv("qlinearconv-scale-0", refused="scale", broken=True, change_init=lambda i: i.update(s2=f32(0)))
qlinear_conv("qlinearconv-weights-zero", refused="zero", change_init=lambda i: i.update(wz=np.array([0, 0, 3, 0], S8)))


def zoo(op_type, activation=U8):
    return {**types(activation, z2=60), **TWO_WEIGHTS, "s3": f32(0.05), "z3": np.array(0 if activation == U8 else -128, activation)}


for activation, suffix in (U8, ""), (S8, "-int8"):
    branch = [QX, node("QLinearConv", "x_q s1 z1 wq ws wz s3 z3", "a")]
    add("qlinearadd" + suffix, branch + [ms("QLinearAdd", "a s3 z3 x_q s1 z1 s2 z2", "h"), DY], zoo("", activation), exact=True,
        domains=["com.microsoft"], opset=12)
    add("qlinearconcat" + suffix, branch + [ms("QLinearConcat", "s2 z2 a s3 z3 x_q s1 z1", "h", axis=1), DY], zoo("", activation), exact=True,
        domains=["com.microsoft"], opset=12)
    add("qlinearconcat-same" + suffix, [QX, node("QLinearConv", "x_q s1 z1 wq ws wz s2 z2", "a"), node("QLinearConv", "x_q s1 z1 vq ws wz s2 z2", "c"),
                                        ms("QLinearConcat", "s2 z2 a s2 z2 c s2 z2", "h", axis=1), DY],
        {**zoo("", activation), "vq": ints((2, 2, 1, 1), 4321, -63, 63, S8)}, exact=True, domains=["com.microsoft"], opset=12)
    add("qlinearglobalaveragepool" + suffix, [QX, ms("QLinearGlobalAveragePool", "x_q s1 z1 s2 z2", "h", channels_last=0), DY],
        types(activation, z2=60, s2=0.02), exact=True, domains=["com.microsoft"], opset=12)
    add("qlinear-maxpool" + suffix, [QX, node("MaxPool", "x_q", "m", kernel_shape=[2, 2], strides=[2, 2]),
                                     node("QLinearConv", "m s1 z1 wq ws wz s2 z2", "h"), DY], zoo("", activation), exact=True, opset=12)

# A Fire module, as the zoo's SqueezeNet has it.
FIRE = {**types(z1=131, s2=0.11, z2=0), **quantized_weights((3, 2, 1, 1), 3, per_channel=False), "vq": ints((4, 3, 1, 1), 4200, -63, 63, S8),
        "uq": ints((4, 3, 3, 3), 4300, -63, 63, S8), "cq": ints((4,), 4700, -900, 900, S32), "s3": f32(0.06), "z3": np.array(0, U8),
        "s4": f32(0.08), "z4": np.array(0, U8), "s5": f32(0.09), "z5": np.array(3, U8), "s6": f32(0.012), "z6": np.array(1, U8)}
add("qlinear-fire", [QX, node("QLinearConv", "x_q s1 z1 wq ws wz s3 z3 bq", "squeeze", kernel_shape=[1, 1]),
                     node("QLinearConv", "squeeze s3 z3 vq ws wz s4 z4 cq", "left"),
                     node("QLinearConv", "squeeze s3 z3 uq ws wz s5 z5 cq", "right", pads=[1, 1, 1, 1]),
                     ms("QLinearConcat", "s2 z2 left s4 z4 right s5 z5", "both", axis=1),
                     ms("QLinearGlobalAveragePool", "both s2 z2 s6 z6", "g", channels_last=0),
                     node("DequantizeLinear", "g s6 z6", "logits"), node("Softmax", "logits", "prob")], FIRE, outputs=["prob"], opset=12,
    domains=["com.microsoft"])
refuse("qlinearconcat-axis", "axis", [QX, ms("QLinearConcat", "s2 z2 x_q s1 z1 x_q s1 z1", "h", axis=2), DY], zoo(""), bad=1,
       domains=["com.microsoft"], opset=12)
refuse("qlinearglobalaveragepool-channels-last", "channels_last", [QX, ms("QLinearGlobalAveragePool", "x_q s1 z1 s2 z2", "h", channels_last=1), DY],
       types(z2=60), bad=1, domains=["com.microsoft"], opset=12)
refuse("qlinearleakyrelu", "", [QX, ms("QLinearLeakyRelu", "x_q s1 z1 s2 z2", "h", alpha=0.1), DY], types(z2=60), bad=1,
       domains=["com.microsoft"], opset=12)
refuse("qlinear-float", "x", [node("QLinearConv", "x s1 z1 wq ws wz s2 z2", "h"), DY], zoo(""), bad=0, broken=True)
refuse("qlinear-unquantized", "", [node("DequantizeLinear", "x s1 z1")], types(), broken=True)
refuse("qlinear-mixed", "", [QX, node("Relu", "x_q")], types(), bad=1, broken=True)


# ---- Running, writing and checking


def run(m, x, folder, optimize=True):
    """What ONNX Runtime makes of x."""
    path = folder / "model.onnx"
    path.write_bytes(m.SerializeToString(deterministic=True))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    if session.get_inputs()[0].type == "tensor(float16)":
        x = x.astype(np.float16)
    return session.run(None, {"x": x})


def expected(c, folder):
    """The results of a case that must be read, as they stand in cases.json."""
    for name, data in c.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    x = numbers(c.shape)
    results = ReferenceEvaluator(c.model).run(None, {"x": x}) if c.reference else run(c.model, x, folder, not c.plain)
    if c.exact:
        # Each rounding may differ by one step from that of the same graph in float32.
        scale = next(numpy_helper.to_array(t) for t in c.model.graph.initializer if t.name == c.model.graph.node[-1].input[1]).max()
        plain = run(c.model, x, folder, optimize=False)
        far = max(np.abs(a - b).max() / scale for a, b in zip(results, plain))
        if far > 2.01:
            raise ValueError(f"{c.name}: the optimized graph is {far} steps away from the plain one")
    if c.twin:
        near = results
        results = next(o for o in cases if o.name == c.twin).results
        if not all(np.allclose(a, b, rtol=1e-2, atol=1e-2) for a, b in zip(near, results)):
            raise ValueError(f"{c.name}: the result is not that of {c.twin}")
    c.results = results
    for r in results:
        assert np.isfinite(r).all() and (r.size == 1 or r.min() < r.max()), (c.name, r)
    return [{"shape": list(r.shape), "values": [float(str(v)) for v in r.ravel()]} for r in results]


def make():
    """All cases, as in cases.json, and the files of cases."""
    table, files = [], {}
    problems = 0
    for c in cases:
        row = {"name": c.name}
        try:
            with tempfile.TemporaryDirectory() as folder:
                if c.refused is None:
                    row["input"] = list(c.shape)
                    row["outputs"] = expected(c, pathlib.Path(folder))
                    if c.exact:
                        row["exact"] = True
                    if c.layers:
                        row["layers"] = c.layers.split()
                else:
                    row["refused"] = c.refused
                    if not c.broken:
                        run(c.model, numbers(c.shape), pathlib.Path(folder))
        except Exception as e:
            print(f"{c.name}: {e}", file=sys.stderr)
            problems += 1
        table.append(row)
        files[c.name + ".onnx"] = c.model.SerializeToString(deterministic=True)
        files.update(c.files)
    if problems:
        sys.exit(f"{problems} of {len(cases)} cases failed")
    return table, files


def write(table, files):
    folder = FOLDER / "cases"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
    with open(FOLDER / "cases.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in table) + "\n]\n")


def check(table, files):
    """Exits with status 1 if the committed cases say something else. The results of float32 may differ in
    their last bits, since ONNX Runtime adds up in another order on another processor."""
    committed = json.loads((FOLDER / "cases.json").read_text())
    wrong = []
    for new, old in zip(table, committed):
        alike = {k: v for k, v in new.items() if k != "outputs"} == {k: v for k, v in old.items() if k != "outputs"}
        for a, b in zip(new.get("outputs", []), old.get("outputs", []), strict=alike):
            most = max(map(abs, b["values"]))
            near = 0 if new.get("exact") else 1e-5 * most
            alike = alike and a["shape"] == b["shape"] and np.allclose(a["values"], b["values"], rtol=0, atol=near)
        if not alike:
            wrong.append(f"cases.json: {new['name']}")
    if len(table) != len(committed):
        wrong.append(f"cases.json: {len(committed)} cases, expected {len(table)}")
    folder = FOLDER / "cases"
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    for name in sorted(present | set(files)):
        if name not in present or name not in files:
            wrong.append(f"cases/{name}: {'missing' if name in files else 'surplus'}")
            continue
        old, new = (folder / name).read_bytes(), files[name]
        if name.endswith(".onnx"):
            old, new = onnx.load_model_from_string(old), onnx.load_model_from_string(new)
        if old != new:
            wrong.append(f"cases/{name}: differs")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(table)} cases as committed")


if __name__ == "__main__":
    table, files = make()
    if sys.argv[1:] == ["-check"]:
        check(table, files)
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        write(table, files)
