"""tract, which runs a call on one thread."""

import json
import os

os.environ["RUST_BACKTRACE"] = "0"  # Errors are one line.

import tract

from names import Names


class Engine:
    version = tract.version()

    def __init__(self, impl, model, type, threads, image):
        if threads != 1:
            raise ValueError("tract's Python package runs a call on one thread only")
        if type == "int8":
            raise ValueError("tract runs a QDQ file in float32, slower than the float32 file")
        self.names = Names(model)
        outputs = self.names.outputs
        self.output = outputs.index("logits") if "logits" in outputs else 0
        network = tract.onnx().load(model)
        network.set_input_fact(0, ",".join(map(str, image.shape)) + ",f32")
        self.runnable = network.into_model().into_runnable()
        self.state = self.runnable.spawn_state()
        self.image = tract.Tensor.from_numpy(image)
        self.settings = "CPU runtime, optimized for the input's shape, 1 thread, one state, input made before the call"

    def call(self):
        self.result = self.state.run([self.image])

    def logits(self):
        return self.result[self.output].to_numpy()

    def profile(self, n):
        layers = {}
        for _ in range(n):
            for node in json.loads(self.runnable.profile_json([self.image]))["nodes"]:
                if "secs_per_iter" not in node:
                    continue
                name = node["node_name"]
                layer = layers.setdefault(name, {"name": self.layer(name), "op": node["op_name"], "ns": 0})
                layer["ns"] += node["secs_per_iter"] * 1e9 / n
        return list(layers.values())

    def layer(self, node):
        """The layer that a node was made of: its name has what was done to it at the end, after dots."""
        name = node
        while name:
            if layer := self.names.layer(name, None):
                return layer
            name = name.rpartition(".")[0]
        return node
