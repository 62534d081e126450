"""LiteRT (TensorFlow Lite), from a model in its format that is made here from the ONNX file.

The schema and https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec tell the format.
"""

import importlib.metadata

import flatbuffers
import numpy
from ai_edge_litert import interpreter, schema_py_generated as tflite

from network import Network


class Engine:
    version = importlib.metadata.version("ai-edge-litert")

    def __init__(self, impl, model, type, threads, image):
        content = Converter(Network(model), image.shape).content()
        self.net = interpreter.Interpreter(model_content=content, num_threads=threads)
        self.net.allocate_tensors()
        # The input stays where it is during calls.
        self.net.set_tensor(self.net.get_input_details()[0]["index"], image.transpose(0, 2, 3, 1))
        self.output = self.net.get_output_details()[0]["index"]
        self.call = self.net.invoke
        self.settings = f"XNNPACK, num_threads {threads}, input in place as NHWC, output in place"

    def logits(self):
        return self.net.get_tensor(self.output)

    def profile(self, n):
        return None


Operator = tflite.BuiltinOperator
Type = tflite.TensorType


class Converter:
    """Builds a model. Values are NHWC; int8 is zero − 128 and q − 128 where ONNX has uint8."""

    def __init__(self, network, shape):
        self.network = network
        self.graph = tflite.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.buffers = [tflite.BufferT()]
        self.codes = []
        self.made = {}  # tensors by a value's name and grid
        self.grids = {}  # the grid that a value is computed on, by its name
        self.shapes = {network.input: (1, *shape[2:], shape[1])}
        self.readers = {}
        for value in [value for layer in network.layers for value in layer.inputs] + [network.output]:
            self.readers.setdefault(value.name, []).append(value)

        input = self.make(network.input, None)
        self.graph.inputs = [input]
        for layer in network.layers:
            self.layer(layer)
        if network.output.grid is not None:
            self.take(network.output.name, network.output.grid)
        self.graph.outputs = [self.take(network.output.name, None)]

    def content(self):
        model = tflite.ModelT()
        model.version = 3
        model.subgraphs = [self.graph]
        model.buffers = self.buffers
        model.operatorCodes = []
        for code in self.codes:
            entry = tflite.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), 1
            model.operatorCodes.append(entry)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def tensor(self, name, shape, type, data=None, scale=None, zero=0, axis=0):
        tensor = tflite.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), type, 0
        if data is not None:
            buffer = tflite.BufferT()
            buffer.data = numpy.frombuffer(numpy.ascontiguousarray(data).tobytes(), numpy.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        if scale is not None:
            scale = numpy.atleast_1d(scale).astype(numpy.float32)
            quantization = tflite.QuantizationParametersT()
            quantization.scale = scale
            quantization.zeroPoint = numpy.full(scale.shape, zero, numpy.int64)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, code, inputs, output, options=None, **fields):
        if code not in self.codes:
            self.codes.append(code)
        operator = tflite.OperatorT()
        operator.opcodeIndex = self.codes.index(code)
        operator.inputs, operator.outputs = inputs, [output]
        if options:
            operator.builtinOptions = getattr(tflite, options + "T")()
            operator.builtinOptionsType = getattr(tflite.BuiltinOptions, options)
            for field, value in fields.items():
                setattr(operator.builtinOptions, field, value)
        self.graph.operators.append(operator)

    def make(self, name, grid):
        """A new tensor for a value, float32 or on a grid."""
        if grid is None:
            tensor = self.tensor(name, self.shapes[name], Type.FLOAT32)
        else:
            tensor = self.tensor(name, self.shapes[name], Type.INT8, None, grid.scale, grid.zero - grid.low - 128)
        self.made[name, key(grid)] = tensor
        self.grids.setdefault(name, grid)
        return tensor

    def take(self, name, grid):
        """The tensor of a value on a grid, converted if it was computed on another."""
        if (name, key(grid)) in self.made:
            return self.made[name, key(grid)]
        source = self.made[name, key(self.grids[name])]
        target = self.make(name, grid)
        if grid is None:
            self.operator(Operator.DEQUANTIZE, [source], target)
        else:
            self.operator(Operator.QUANTIZE, [source], target, "QuantizeOptions")
        return target

    def layer(self, layer):
        batch, height, width, channels = (*self.shapes[layer.inputs[0].name], 0, 0)[:4]
        grids = [value.grid for value in layer.inputs]
        # A layer computes on the grid that its first reader wants, and pools on that of their input.
        wanted = next((value.grid for value in self.readers.get(layer.output, [])), None)
        activation = int(layer.relu)
        match layer.op:
            case "Conv":
                strides = layer.strides()
                pads, padding = self.padding(layer, (height, width))
                inside = [height + pads[0] + pads[2], width + pads[1] + pads[3]]
                size = [(n - k) // s + 1 for n, k, s in zip(inside, layer.kernel(), strides)]
                self.shapes[layer.output] = (batch, *size, layer.weight.shape[0])
                quantized = grids[0] is not None and layer.weight_scale is not None and wanted is not None
                input = self.take(layer.inputs[0].name, grids[0] if quantized else None)
                if padding is None:
                    input = self.pad(input, layer, pads, inside, channels, grids[0] if quantized else None)
                    padding = tflite.Padding.VALID
                weights = self.weights(layer, layer.weight.transpose(0, 2, 3, 1), grids[0] if quantized else None)
                self.operator(
                    Operator.CONV_2D, [input, *weights], self.make(layer.output, wanted if quantized else None),
                    "Conv2DOptions", padding=padding, strideH=strides[0], strideW=strides[1],
                    fusedActivationFunction=activation,
                )  # fmt: skip
            case "Gemm":
                weight = layer.weight
                flat = self.flattened(layer.inputs[0].name)
                if flat is not None:
                    weight = weight.reshape(-1, flat[3], flat[1], flat[2]).transpose(0, 2, 3, 1).reshape(weight.shape)
                self.shapes[layer.output] = (batch, weight.shape[0])
                quantized = grids[0] is not None and layer.weight_scale is not None and wanted is not None
                input = self.take(layer.inputs[0].name, grids[0] if quantized else None)
                weights = self.weights(layer, weight, grids[0] if quantized else None)
                self.operator(
                    Operator.FULLY_CONNECTED, [input, *weights], self.make(layer.output, wanted if quantized else None),
                    "FullyConnectedOptions", fusedActivationFunction=activation,
                )  # fmt: skip
            case "MaxPool" | "AveragePool":
                kernel, strides = layer.kernel(), layer.strides()
                pads, padding = self.padding(layer, (height, width))
                if padding is None or layer.op == "AveragePool" and any(pads) and layer.get("count_include_pad", 0):
                    raise ValueError(f"node {layer.name}: LiteRT has no {layer.op} with pads {pads}")
                size = [(n + a + b - k) // s + 1
                        for n, a, b, k, s in zip((height, width), pads[:2], pads[2:], kernel, strides)]  # fmt: skip
                self.shapes[layer.output] = (batch, *size, channels)
                code = Operator.MAX_POOL_2D if layer.op == "MaxPool" else Operator.AVERAGE_POOL_2D
                self.operator(
                    code, [self.take(layer.inputs[0].name, grids[0])], self.make(layer.output, grids[0]),
                    "Pool2DOptions", padding=padding, strideH=strides[0], strideW=strides[1],
                    filterHeight=kernel[0], filterWidth=kernel[1],
                )  # fmt: skip
            case "GlobalAveragePool":
                self.shapes[layer.output] = (batch, 1, 1, channels)
                grid = wanted if grids[0] is not None else None
                axes = self.tensor(layer.name + ".axes", [2], Type.INT32, numpy.array([1, 2], numpy.int32))
                self.operator(
                    Operator.MEAN, [self.take(layer.inputs[0].name, grids[0] if grid else None), axes],
                    self.make(layer.output, grid), "ReducerOptions", keepDims=True,
                )  # fmt: skip
            case "Concat" | "Add":
                shapes = [self.shapes[value.name] for value in layer.inputs]
                grid = wanted if all(grids) else None
                if layer.op == "Concat":
                    self.shapes[layer.output] = (*shapes[0][:3], sum(shape[3] for shape in shapes))
                    # Its inputs and its output are on one grid.
                    inputs = [self.take(value.name, grid) for value in layer.inputs]
                    code, options, fields = Operator.CONCATENATION, "ConcatenationOptions", {"axis": 3}
                else:
                    self.shapes[layer.output] = shapes[0]
                    inputs = [self.take(value.name, value.grid if grid else None) for value in layer.inputs]
                    code, options, fields = Operator.ADD, "AddOptions", {}
                self.operator(code, inputs, self.make(layer.output, grid), options,
                              fusedActivationFunction=activation, **fields)  # fmt: skip
            case "LRN":
                self.shapes[layer.output] = self.shapes[layer.inputs[0].name]
                size = layer.attributes["size"]
                self.operator(
                    Operator.LOCAL_RESPONSE_NORMALIZATION, [self.take(layer.inputs[0].name, None)],
                    self.make(layer.output, None), "LocalResponseNormalizationOptions", radius=size // 2,
                    alpha=layer.get("alpha", 1e-4) / size, beta=layer.get("beta", 0.75), bias=layer.get("bias", 1.0),
                )  # fmt: skip
            case "Flatten":
                shape = (batch, height * width * channels) if width else (batch, height)
                self.shapes[layer.output] = shape
                dims = self.tensor(layer.name + ".shape", [2], Type.INT32, numpy.array(shape, numpy.int32))
                self.operator(Operator.RESHAPE, [self.take(layer.inputs[0].name, grids[0]), dims],
                              self.make(layer.output, grids[0]), "ReshapeOptions", newShape=list(shape))  # fmt: skip
            case "Softmax":
                self.shapes[layer.output] = self.shapes[layer.inputs[0].name]
                self.operator(Operator.SOFTMAX, [self.take(layer.inputs[0].name, None)],
                              self.make(layer.output, None), "SoftmaxOptions", beta=1.0)  # fmt: skip

    def flattened(self, name):
        """The shape of what a Flatten made the value with this name of, if it was more than a row."""
        for layer in self.network.layers:
            if layer.op == "Flatten" and layer.output == name:
                shape = self.shapes[layer.inputs[0].name]
                return shape if len(shape) == 4 else None
        return None

    def padding(self, layer, size):
        """The layer's pads, with what rounding up adds, and what LiteRT calls them, or None if it has no name."""
        kernel, strides = layer.kernel(), layer.strides()
        pads = list(layer.pads())
        same = []
        for i in range(2):
            n, k, s = size[i], kernel[i], strides[i]
            if layer.get("ceil_mode", 0):
                pads[i + 2] += -(n + pads[i] + pads[i + 2] - k) % s
            total = max((-(-n // s) - 1) * s + k - n, 0)
            same.append((total // 2, total - total // 2))
        if not any(pads):
            return pads, tflite.Padding.VALID
        if pads == [same[0][0], same[1][0], same[0][1], same[1][1]]:
            return pads, tflite.Padding.SAME
        return pads, None

    def pad(self, input, layer, pads, size, channels, grid):
        name = layer.name + ".padded"
        self.shapes[name] = (1, *size, channels)
        amounts = numpy.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], numpy.int32)
        self.operator(
            Operator.PAD, [input, self.tensor(layer.name + ".pads", [4, 2], Type.INT32, amounts)],
            self.make(name, grid), "PadOptions",
        )  # fmt: skip
        return self.made[name, key(grid)]

    def weights(self, layer, weight, grid):
        """The tensors of a layer's weight and bias, for an input on a grid."""
        outputs, scale = weight.shape[0], layer.weight_scale
        if grid is None:
            if scale is not None:
                weight = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
            return [
                self.tensor(layer.name + ".weight", weight.shape, Type.FLOAT32, weight.astype(numpy.float32)),
                self.tensor(layer.name + ".bias", [outputs], Type.FLOAT32, layer.bias),
            ]
        bias = numpy.rint(layer.bias / (float(grid.scale) * scale.astype(numpy.float64))).astype(numpy.int32)
        return [
            self.tensor(layer.name + ".weight", weight.shape, Type.INT8, weight, scale),
            self.tensor(layer.name + ".bias", [outputs], Type.INT32, bias, grid.scale * scale),
        ]


def key(grid):
    return None if grid is None else (float(grid.scale), grid.zero - grid.low)
