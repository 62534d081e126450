"""MNN, through its own converter of ONNX files."""

import os
import re
import tempfile
import time

import _tools  # MNN's converter. The package MNN.tools around it sends what it did to MNN's makers.
import MNN
import numpy

from names import Names


class Engine:
    version = MNN.version()

    def __init__(self, impl, model, type, threads, image):
        if type == "int8":
            raise ValueError("MNN's converter does not read QDQ files")
        self.model = model
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.mnn")
            _tools.mnnconvert(
                ["mnnconvert", "-f", "ONNX", "--modelFile", model, "--MNNModel", path, "--optimizePrefer", "2"]
            )
            if not os.path.exists(path):
                raise ValueError(f"{model}: MNN does not convert it")
            self.net = MNN.Interpreter(path)
        self.session = self.net.createSession({"backend": "CPU", "numThread": threads, "precision": "high"})
        self.input = self.net.getSessionInput(self.session)
        self.net.resizeTensor(self.input, image.shape)
        self.net.resizeSession(self.session)
        outputs = self.net.getSessionOutputAll(self.session)
        self.output = outputs["logits"] if "logits" in outputs else next(iter(outputs.values()))
        self.image = host(image)
        self.result = host(numpy.zeros(self.output.getShape(), numpy.float32))
        self.settings = (
            f"CPU, numThread {threads}, precision high, memory and power normal, winograd, "
            "converted with optimizePrefer 2 (fastest), session with input and output copied in the call"
        )

    def call(self):
        self.input.copyFrom(self.image)
        self.net.runSession(self.session)
        self.output.copyToHostTensor(self.result)

    def logits(self):
        return self.result.getNumpyData()

    def profile(self, n):
        names = Names(self.model)
        layers = {}
        start = 0

        def before(tensors, info):
            nonlocal start
            start = time.perf_counter_ns()
            return True

        def after(tensors, info):
            ns = time.perf_counter_ns() - start
            # A layer may be run in parts and with changes of layout.
            name = re.sub("(__group__[0-9]+)?(_raster_[0-9]+)?$", "", info.getName())
            name = names.layer(name, info.getName())
            layer = layers.setdefault(info.getName(), {"name": name, "op": info.getType(), "ns": 0})
            layer["ns"] += ns / n
            return True

        for _ in range(n):
            self.net.runSessionWithCallBackInfo(self.session, before, after)
        return list(layers.values())


def host(array):
    return MNN.Tensor(array.shape, MNN.Halide_Type_Float, array, MNN.Tensor_DimensionType_Caffe)
