"""The names of a model's layers, found again in what an engine's optimizer made of them."""

import onnx

# These compute nothing of their own: an engine runs them as a part of the layer that they follow.
FOLLOWERS = {"Relu", "QuantizeLinear", "DequantizeLinear", "Identity", "Dropout"}


class Names:
    """The layers of an ONNX file, by the names of their nodes and values."""

    def __init__(self, path):
        graph = onnx.load(path, load_external_data=False).graph
        self.outputs = [output.name for output in graph.output]
        self.layers = {}
        for node in graph.node:
            layer = node.name or node.output[0]
            if node.op_type in FOLLOWERS:
                layer = self.layers.get(node.input[0], layer)
            if node.name:
                self.layers[node.name] = layer
            self.layers[node.output[0]] = layer

    def layer(self, name, default):
        """The layer that a node or a value with this name belongs to."""
        return self.layers.get(name, default)
