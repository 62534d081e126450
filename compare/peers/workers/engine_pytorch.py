"""PyTorch, which trains: a call is a step of SGD."""

import torch
import torch.nn.functional as F

from network import Network

MOMENTUM, DECAY = 0.9, 2e-4  # as in ../training.go
RATE = 0.01  # of the first step; that of the others is 0, so that all compute with the same numbers


class Engine:
    version = torch.__version__

    def __init__(self, impl, model, type, threads, image):
        if type != "train":
            raise ValueError(f"no {type}, only train")
        torch.set_num_threads(threads)
        self.network = Network(model)
        self.weights = {}
        for layer in self.network.layers:
            if layer.weight is not None:
                weight = torch.tensor(layer.weight)
                if weight.ndim == 4:
                    weight = weight.contiguous(memory_format=torch.channels_last)
                self.weights[layer.name] = weight.requires_grad_(), torch.tensor(layer.bias).requires_grad_()
        self.parameters = [p for pair in self.weights.values() for p in pair]
        self.optimizer = torch.optim.SGD(self.parameters, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, fused=True)
        self.images = torch.tensor(image).contiguous(memory_format=torch.channels_last)
        self.labels = None
        self.result = self.first()
        self.settings = (
            f"{threads} threads, channels_last, oneDNN {torch.backends.mkldnn.is_available()}, eager, SGD with fused=True, "
            f"batch {len(image)}, momentum {MOMENTUM}, weight decay {DECAY}"
        )

    def first(self):
        """The loss before the first step, and how that changes the parameters."""
        before = [p.detach().clone() for p in self.parameters]
        loss = self.step()
        changes = [(p.detach() - b).contiguous().ravel() for p, b in zip(self.parameters, before)]
        self.optimizer.param_groups[0]["lr"] = 0.0
        return torch.cat([loss.reshape(1), *changes]).numpy()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.forward()
        if self.labels is None:
            self.labels = torch.arange(logits.shape[0]) % logits.shape[1]
        loss = F.cross_entropy(logits, self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def call(self):
        self.step().item()  # as a trainer reads it

    def logits(self):
        return self.result

    def profile(self, n):
        return None

    def forward(self):
        values = {self.network.input: self.images}
        for layer in self.network.layers:
            inputs = [values[v.name] for v in layer.inputs]
            x = self.compute(layer, inputs)
            values[layer.output] = F.relu(x, inplace=True) if layer.relu else x
        return values[self.network.output.name].flatten(1)

    def compute(self, layer, inputs):
        x = inputs[0]
        match layer.op:
            case "Conv":
                top, left, bottom, right = layer.pads()
                padding = top, left
                if (top, left) != (bottom, right):
                    x, padding = F.pad(x, (left, right, top, bottom)), 0
                weight, bias = self.weights[layer.name]
                return F.conv2d(x, weight, bias, tuple(layer.strides()), padding, groups=layer.get("group", 1))
            case "Gemm":
                return F.linear(x.flatten(1), *self.weights[layer.name])
            case "MaxPool":
                top, left, bottom, right = layer.pads()
                padding = top, left
                if (top, left) != (bottom, right):
                    x, padding = F.pad(x, (left, right, top, bottom), value=float("-inf")), 0
                return F.max_pool2d(x, tuple(layer.kernel()), tuple(layer.strides()), padding, ceil_mode=bool(layer.get("ceil_mode", 0)))
            case "AveragePool":
                top, left, bottom, right = layer.pads()
                if (top, left) != (bottom, right):
                    raise ValueError(f"node {layer.name}: AveragePool with different padding on two sides is not supported")
                return F.avg_pool2d(
                    x, tuple(layer.kernel()), tuple(layer.strides()), (top, left), bool(layer.get("ceil_mode", 0)), bool(layer.get("count_include_pad", 0))
                )
            case "GlobalAveragePool":
                return F.adaptive_avg_pool2d(x, 1)
            case "Concat":
                return torch.cat(inputs, 1)
            case "Add":
                return inputs[0] + inputs[1]
            case "LRN":
                return F.local_response_norm(x, layer.get("size", 5), layer.get("alpha", 1e-4), layer.get("beta", 0.75), layer.get("bias", 1.0))
            case "Flatten":
                return x.flatten(1)
            case "Softmax":
                return x.softmax(1)
        raise ValueError(f"node {layer.name}: {layer.op} is not supported")
