"""An ONNX file as a list of layers, for engines that have a file format of their own.

It knows the operators that a model of the suite has. ReLUs are parts of the layers before them, QuantizeLinear
and DequantizeLinear are parts of the values and weights that they are around.
"""

import dataclasses

import numpy
import onnx
from onnx import numpy_helper


@dataclasses.dataclass
class Grid:
    """What a quantized number q means: scale·(q − zero)."""

    scale: numpy.ndarray  # one number, or one for each output of a weight
    zero: int
    low: int  # the least and the greatest q
    high: int

    @property
    def largest(self):
        """The largest magnitude on the grid."""
        return float(self.scale) * max(self.zero - self.low, self.high - self.zero)


@dataclasses.dataclass
class Value:
    name: str
    grid: Grid | None = None


@dataclasses.dataclass
class Layer:
    op: str  # as in ONNX
    name: str
    inputs: list[Value]
    output: str
    attributes: dict
    relu: bool = False
    weight: numpy.ndarray | None = None  # O×I or O×I×KH×KW, float32 or int8
    weight_scale: numpy.ndarray | None = None  # of an int8 weight, one for each output
    bias: numpy.ndarray | None = None  # float32

    def get(self, name, default):
        return self.attributes.get(name, default)

    def kernel(self):
        """Height and width."""
        return self.weight.shape[2:] if self.op == "Conv" else self.attributes["kernel_shape"]

    def strides(self):
        """Down and to the right."""
        return self.get("strides", [1, 1])

    def pads(self):
        """Top, left, bottom, right."""
        return self.get("pads", [0, 0, 0, 0])


WEIGHTED = {"Conv", "Gemm"}
UNWEIGHTED = {"MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Add", "LRN", "Flatten", "Softmax"}


class Network:
    """input is the name of the input, output the logits; layers are in the order of execution."""

    def __init__(self, path):
        model = onnx.load(path)
        onnx.checker.check_model(model)
        graph = model.graph
        self.constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
        inputs = [i.name for i in graph.input if i.name not in self.constants]
        if len(inputs) != 1:
            raise ValueError(f"{path}: {len(inputs)} inputs, want 1")
        self.input = inputs[0]
        self.weights = {}  # (int8, scale) by the name of what a DequantizeLinear makes of them
        self.values = {self.input: Value(self.input)}
        self.uses = {}
        for node in graph.node:
            for name in node.input:
                self.uses.setdefault(name, []).append(node)
        layers = []
        for node in graph.node:
            self.read(node, layers)

        outputs = [o.name for o in graph.output]
        output = "logits" if "logits" in outputs else outputs[0]
        self.output = self.values[output]
        needed = {self.output.name}
        self.layers = []
        for layer in reversed(layers):
            if layer.output in needed:
                needed.update(value.name for value in layer.inputs)
                self.layers.insert(0, layer)

    def read(self, node, layers):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        op, name = node.op_type, node.name or node.output[0]
        if attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or set(attributes.get("dilations", [1])) != {1}:
            raise ValueError(f"node {name}: {op} with auto_pad or dilations is not supported")

        if op == "Constant":
            self.constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
        elif op in ("Identity", "Dropout"):
            self.values[node.output[0]] = self.values[node.input[0]]
        elif op == "Relu" and layers and layers[-1].output == node.input[0] and len(self.uses[node.input[0]]) == 1:
            layers[-1].relu = True
            layers[-1].output = node.output[0]
            self.values[node.output[0]] = Value(node.output[0])
        elif op == "QuantizeLinear":
            grid = self.grid(node)
            value = self.values[node.input[0]]
            self.values[node.output[0]] = Value(value.name, grid)
            if grid.zero == grid.low and layers and layers[-1].output == value.name and layers[-1].op in ("Conv", "Gemm", "Add"):
                layers[-1].relu = True  # The grid has no negative numbers.
        elif op == "DequantizeLinear" and node.input[0] in self.constants:
            q, scale = self.constants[node.input[0]], self.constants[node.input[1]]
            zero = self.constants[node.input[2]] if len(node.input) > 2 else numpy.zeros_like(scale, numpy.int32)
            if q.ndim == 1:
                self.constants[node.output[0]] = (q * scale).astype(numpy.float32)
            else:
                axis = attributes.get("axis", 1)
                q = numpy.moveaxis(q.astype(numpy.int32), axis, -1) - zero.astype(numpy.int32)
                q = numpy.moveaxis(q, -1, axis).astype(numpy.int8)
                self.weights[node.output[0]] = q, scale
        elif op == "DequantizeLinear":
            self.values[node.output[0]] = self.values[node.input[0]]
        elif op in WEIGHTED or op in UNWEIGHTED:
            inputs = node.input[:1] if op in WEIGHTED else node.input
            layer = Layer(op, name, [self.values[i] for i in inputs], node.output[0], attributes)
            if op in WEIGHTED:
                self.read_weights(node, layer)
            layers.append(layer)
            self.values[node.output[0]] = Value(node.output[0])
        else:
            raise ValueError(f"node {name}: {op} is not supported")

    def grid(self, node):
        scale = self.constants[node.input[1]]
        zero = self.constants[node.input[2]] if len(node.input) > 2 else numpy.uint8(0)
        info = numpy.iinfo(zero.dtype)
        if scale.size != 1:
            raise ValueError(f"node {node.name}: values with a scale for each channel are not supported")
        return Grid(scale.reshape(()), int(zero.reshape(())), info.min, info.max)

    def read_weights(self, node, layer):
        if node.input[1] in self.weights:
            weight, scale = self.weights[node.input[1]]
        else:
            weight, scale = self.constants[node.input[1]].astype(numpy.float32), None
        if layer.op == "Gemm":
            if layer.get("transA", 0) or layer.get("alpha", 1.0) != 1 or layer.get("beta", 1.0) != 1:
                raise ValueError(f"node {layer.name}: Gemm with transA, alpha or beta is not supported")
            if not layer.get("transB", 0):
                weight = weight.T
        outputs = weight.shape[0]
        layer.weight = numpy.ascontiguousarray(weight)
        if scale is not None:
            layer.weight_scale = numpy.broadcast_to(scale, [outputs]).astype(numpy.float32)
        bias = self.constants[node.input[2]] if len(node.input) > 2 and node.input[2] else numpy.zeros(outputs)
        layer.bias = numpy.broadcast_to(bias, [outputs]).astype(numpy.float32)
