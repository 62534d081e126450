"""ncnn, from a .param and a .bin file that are written here from the ONNX file.

https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure and …/operators tell the format.
"""

import dataclasses
import os
import tempfile

import ncnn
import numpy

from network import Network


class Engine:
    version = ncnn.__version__

    def __init__(self, impl, model, type, threads, image):
        self.net = ncnn.Net()
        # These outlive the network's calls: memory is reused from call to call.
        self.blobs, self.workspace = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()
        option = self.net.opt
        option.num_threads = threads
        option.blob_allocator = self.blobs
        option.workspace_allocator = self.workspace
        option.lightmode = True
        option.use_packing_layout = True
        option.use_winograd_convolution = True
        option.use_sgemm_convolution = True
        option.use_int8_inference = True
        option.use_vulkan_compute = False
        if impl == "ncnn-f32":
            option.use_fp16_packed = option.use_fp16_storage = option.use_fp16_arithmetic = False
            option.use_bf16_packed = option.use_bf16_storage = False
        precision = [
            name
            for name in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage")
            if getattr(option, "use_" + name)
        ]
        self.settings = (
            f"num_threads {threads}, winograd, sgemm, packing layout, lightmode, pool allocators, "
            f"{', '.join(precision) or 'no fp16, no bf16'}, openmp_blocktime {option.openmp_blocktime}"
        )

        with tempfile.TemporaryDirectory() as folder:
            param, weights = os.path.join(folder, "net.param"), os.path.join(folder, "net.bin")
            self.input, self.output = write(Network(model), image.shape, param, weights)
            if self.net.load_param(param) != 0 or self.net.load_model(weights) != 0:
                raise ValueError(f"{model}: ncnn does not load what this was converted to")
        self.image = ncnn.Mat(image[0]).clone()

    def call(self):
        extractor = self.net.create_extractor()
        extractor.input(self.input, self.image)
        status, self.result = extractor.extract(self.output)
        if status != 0:
            raise RuntimeError(f"Extractor.extract returned {status}")

    def logits(self):
        return numpy.array(self.result)

    def profile(self, n):
        return None  # Wheels are built without NCNN_BENCHMARK.


INT8 = 0x000D4B38  # the tag of weights that are stored as int8


def write(network, shape, param, weights):
    """Writes the two files of a network, and returns the names of its input and its output."""
    lines = []
    # Blobs have names of ncnn's own taste, and one reader each.
    names = {}
    readers = {}
    for layer in network.layers:
        for value in layer.inputs:
            readers.setdefault(value.name, []).append(layer)
    blobs = 0

    def line(op, inputs, outputs, **params):
        nonlocal blobs
        blobs += len(outputs)
        text = " ".join(f"{key[1:]}={value}" for key, value in params.items())
        lines.append(f"{op} {op}{len(lines)} {len(inputs)} {len(outputs)} {' '.join(inputs + outputs)} {text}")

    def split(value):
        """Gives a value one name for each of its readers."""
        blob = f"blob{len(lines) - 1}"
        count = len(readers.get(value, []))
        names[value] = [blob] if count < 2 else [f"{blob}_{i}" for i in range(count)]
        if count > 1:
            line("Split", [blob], list(names[value]))

    def take(value):
        return names[value].pop(0)

    with open(weights, "wb") as file:
        line("Input", [], ["blob0"], _0=shape[3], _1=shape[2], _2=shape[1])
        split(network.input)
        for layer in network.layers:
            inputs = [take(value.name) for value in layer.inputs]
            groups = layer.get("group", 1)
            if groups > 1 and quantized(layer):
                # ncnn's own int8 groups are wrong with AVX-512, and have one scale for all weights of a group.
                slices = [f"slice{len(lines)}_{i}" for i in range(groups)]
                line("Slice", inputs, slices, **{"_-23300": ",".join([str(groups)] + ["-233"] * groups)})
                parts = []
                for part, input in zip(ungroup(layer, groups), slices):
                    op, params = convert(part, {}, file)
                    parts.append(f"blob{len(lines)}")
                    line(op, [input], parts[-1:], **params)
                line("Concat", parts, [f"blob{len(lines)}"], _0=0)
            else:
                op, params = convert(layer, readers, file)
                line(op, inputs, [f"blob{len(lines)}"], **params)
                if layer.relu and "_9" not in params:
                    line("ReLU", [f"blob{len(lines) - 1}"], [f"blob{len(lines)}"])
            split(layer.output)
    with open(param, "w", encoding="ascii") as file:
        print(7767517, file=file)
        print(len(lines), blobs, file=file)
        print(*lines, sep="\n", file=file)
    return "blob0", take(network.output.name)


def quantized(layer):
    return layer.weight_scale is not None and layer.inputs[0].grid is not None


def ungroup(layer, groups):
    """The convolutions that are one with groups."""
    arrays = [numpy.split(array, groups) for array in (layer.weight, layer.weight_scale, layer.bias)]
    attributes = layer.attributes | {"group": 1}
    for weight, scale, bias in zip(*arrays):
        yield dataclasses.replace(layer, weight=weight, weight_scale=scale, bias=bias, attributes=attributes)


def convert(layer, readers, file):
    """ncnn's operator and parameters for a layer. Its weights are appended to the file."""
    relu = int(layer.relu)
    match layer.op:
        case "Conv":
            (kernel_h, kernel_w), (stride_h, stride_w) = layer.kernel(), layer.strides()
            top, left, bottom, right = layer.pads()
            group = layer.get("group", 1)
            term = weigh(layer, readers, file)
            params = dict(
                _0=layer.weight.shape[0], _1=kernel_w, _11=kernel_h, _3=stride_w, _13=stride_h,
                _4=left, _14=top, _15=right, _16=bottom, _5=1, _6=layer.weight.size, _8=term, _9=relu,
            )  # fmt: skip
            if group == 1:
                return "Convolution", params
            return "ConvolutionDepthWise", params | dict(_7=group)
        case "Gemm":
            term = weigh(layer, readers, file)
            return "InnerProduct", dict(_0=layer.weight.shape[0], _1=1, _2=layer.weight.size, _8=term, _9=relu)
        case "MaxPool" | "AveragePool":
            (kernel_h, kernel_w), (stride_h, stride_w) = layer.kernel(), layer.strides()
            top, left, bottom, right = layer.pads()
            return "Pooling", dict(
                _0=int(layer.op == "AveragePool"), _1=kernel_w, _11=kernel_h, _2=stride_w, _12=stride_h,
                _3=left, _13=top, _14=right, _15=bottom, _5=0 if layer.get("ceil_mode", 0) else 1,
                _6=layer.get("count_include_pad", 0),
            )  # fmt: skip
        case "GlobalAveragePool":
            return "Pooling", dict(_0=1, _4=1)
        case "Concat":
            return "Concat", dict(_0=0)
        case "Add":
            return "BinaryOp", dict(_0=0)
        case "LRN":
            return "LRN", dict(
                _0=0, _1=layer.attributes["size"], _2=layer.get("alpha", 1e-4), _3=layer.get("beta", 0.75),
                _4=layer.get("bias", 1.0),
            )  # fmt: skip
        case "Flatten":
            return "Flatten", {}
        case "Softmax":
            return "Softmax", dict(_0=0, _1=1)


def weigh(layer, readers, file):
    """Appends a layer's weights to the file, and returns its int8_scale_term."""

    def floats(values):
        file.write(numpy.asarray(values, "<f4").tobytes())

    if not quantized(layer):
        weight = layer.weight
        if layer.weight_scale is not None:
            weight = weight * layer.weight_scale.reshape(-1, *[1] * (weight.ndim - 1))
        file.write(bytes(4))
        floats(weight)
        floats(layer.bias)
        return 0

    file.write(INT8.to_bytes(4, "little"))
    file.write(layer.weight.tobytes())
    file.write(bytes(-layer.weight.size % 4))
    floats(layer.bias)
    floats(1 / layer.weight_scale)
    # ncnn's int8 is symmetric: values that are never negative have 7 bits.
    floats([127 / layer.inputs[0].grid.largest])

    # Convolutions alone take int8 from one another. Their readers agree, as each value has one grid.
    following = readers.get(layer.output, [])
    if layer.op == "Conv" and following and all(takes_int8(f) for f in following):
        floats([127 / following[0].inputs[0].grid.largest])
        return 101
    return 1


def takes_int8(layer):
    return layer.op == "Conv" and layer.get("group", 1) == 1 and quantized(layer)
