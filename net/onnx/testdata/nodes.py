"""Writes ONNX's own tests, those whose operators the importer knows, for nodes_test.go.

    python nodes.py DIR

A test becomes DIR/NAME/model.onnx with input.npy and output0.npy, output1.npy, …. The importer reads networks of
one input, so the model is changed, and ONNX Runtime must still get the test's results from it:

  - Inputs behind the first become initializers.
  - A first dimension that is not 1 becomes the batch, of any size.
  - Inputs of two or three dimensions become images, off which a Squeeze takes the dimensions that they have more.
  - The opset becomes 7, at least, and 22, at most. ONNX's checker then says that the nodes are valid there.
  - A dropout ends models that compute nothing: a network has at least one layer.

The wheel has networks of the ONNX zoo as well, with weights that are all the same. They get others, and ONNX Runtime
says what the network then makes of noise.
"""

import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper, version_converter

warnings.simplefilter("ignore")  # some tests divide by zero when they are collected
from onnx.backend.test.case.node import collect_testcases  # noqa: E402

OPERATORS = set("""Add AveragePool BatchNormalization Cast Clip Concat Constant Conv DequantizeLinear Dropout Flatten Gemm
GlobalAveragePool Identity LRN MatMul MaxPool QLinearConv QuantizeLinear Relu Reshape Softmax Squeeze Transpose Unsqueeze""".split())
RESHAPES = {"Cast", "Constant", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}


def tests():
    """The names, models, inputs and outputs of all tests."""
    for case in collect_testcases(None):
        if case.model is not None:
            for inputs, outputs in case.data_sets[:1]:
                yield case.name, case.model, inputs, outputs
    data = pathlib.Path(onnx.__file__).parent / "backend/test/data"
    for path in sorted(data.glob("pytorch-*/*/model.onnx")):
        def read(kind):
            files = sorted(path.parent.glob(f"test_data_set_0/{kind}_*.pb"), key=lambda p: int(p.stem.split("_")[1]))
            return [numpy_helper.to_array(onnx.load_tensor(p)) for p in files]
        yield path.parent.name.replace("test_", "test_pytorch_"), onnx.load(path), read("input"), read("output")


def networks():
    """The names, models, inputs and outputs of the zoo's networks."""
    random = np.random.default_rng(1)
    data = pathlib.Path(onnx.__file__).parent / "backend/test/data/light"
    for name in "squeezenet", "inception_v1":
        m = onnx.load(data / f"light_{name}.onnx")
        graph = m.graph
        shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        filled = [n for n in graph.node if n.op_type == "ConstantOfShape"]
        for n in filled:
            shape = shapes[n.input[0]]
            values = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), n.output[0]))
            graph.node.remove(n)
        used = {i for n in graph.node for i in n.input}
        for value in list(graph.input) + list(graph.initializer):
            if value.name not in used:
                (graph.input if value in graph.input else graph.initializer).remove(value)
        known = {t.name for t in graph.initializer}
        (image,) = [i for i in graph.input if i.name not in known]
        m.ir_version = max(m.ir_version, 4)
        x = random.normal(0, 1, [d.dim_value for d in image.type.tensor_type.shape.dim]).astype(np.float32)
        yield "zoo_" + name, m, [x], session(m).run(None, {image.name: x})


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def array(value):
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def prepare(model, inputs):
    """The changed model."""
    m = onnx.ModelProto()
    m.CopyFrom(model)
    if m.opset_import[0].version < 7:
        m = version_converter.convert_version(m, 7)
    m.opset_import[0].version = min(m.opset_import[0].version, 22)
    graph = m.graph
    known = {t.name for t in graph.initializer}
    free = [i for i in graph.input if i.name not in known]
    assert len(free) == len(inputs)
    for info, value in zip(free[1:], inputs[1:]):
        t = onnx.TensorProto()
        t.CopyFrom(value if isinstance(value, onnx.TensorProto) else numpy_helper.from_array(np.asarray(value)))
        t.name = info.name
        graph.initializer.append(t)
        if m.ir_version >= 4:  # before, all initializers were inputs as well
            graph.input.remove(info)
    dims = free[0].type.tensor_type.shape.dim
    if dims and dims[0].dim_value != 1:
        dims[0].dim_param = "N"
        for info in graph.output:
            for dim in info.type.tensor_type.shape.dim:
                dim.Clear()
    if len(dims) in (2, 3):
        name, axes = free[0].name, list(range(len(dims), 4))
        free[0].name = "image"
        for _ in axes:
            dims.add().dim_value = 1
        if m.opset_import[0].version < 13:
            squeeze = onnx.helper.make_node("Squeeze", ["image"], [name], axes=axes)
        else:
            graph.initializer.append(numpy_helper.from_array(np.array(axes), "image axes"))
            squeeze = onnx.helper.make_node("Squeeze", ["image", "image axes"], [name])
        graph.node.insert(0, squeeze)
    if all(n.op_type in RESHAPES for n in graph.node) and len(graph.output) == 1:
        result = graph.output[0].name
        graph.node.append(onnx.helper.make_node("Dropout", [result], ["dropped"]))
        graph.output[0].name = "dropped"
    onnx.checker.check_model(m)
    return m


def same(model, inputs, outputs):
    """Whether ONNX Runtime gets the outputs from the model; None if it cannot run it, or draws random numbers."""
    if any(n.op_type == "Dropout" and len(n.input) == 3 for n in model.graph.node):
        return None
    try:
        results = session(model).run(None, {model.graph.input[0].name: inputs[0]})
    except Exception:
        return None
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-5, equal_nan=True) for a, b in zip(results, outputs, strict=True))


def write(test, model, x, outputs):
    test.mkdir(parents=True, exist_ok=True)
    (test / "model.onnx").write_bytes(model.SerializeToString())
    np.save(test / "input.npy", x.astype(np.float32))
    for i, a in enumerate(outputs):
        np.save(test / f"output{i}.npy", a.astype(np.float32))


def main(folder):
    written = unchecked = 0
    for name, model, inputs, outputs in tests():
        if not {n.op_type for n in model.graph.node} <= OPERATORS or not inputs:
            continue
        if any(n.domain for n in model.graph.node) or any(i.type.WhichOneof("value") != "tensor_type" for i in model.graph.input):
            continue
        arrays = [array(v) for v in inputs + outputs]
        if not all(a.dtype in (np.float32, np.float16, np.uint8, np.int8) for a in (arrays[0], arrays[len(inputs)])):
            continue
        m = prepare(model, inputs)
        if arrays[0].ndim in (2, 3):
            arrays[0] = arrays[0].reshape(arrays[0].shape + (1,) * (4 - arrays[0].ndim))
        agreement = same(m, arrays[:1], arrays[len(inputs):])
        if agreement is None:
            unchecked += 1
        elif not agreement:
            sys.exit(f"{name}: ONNX Runtime gets another result from the changed model")
        write(folder / name, m, arrays[0], arrays[len(inputs):])
        written += 1
    for name, m, inputs, outputs in networks():
        write(folder / name, m, inputs[0], outputs)
        written += 1
    print(f"{written} of ONNX's tests in {folder}, {unchecked} of them beyond ONNX Runtime")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
