"""OpenVINO's CPU plugin."""

import openvino

from names import Names


class Engine:
    version = openvino.__version__.split("-")[0]

    def __init__(self, impl, model, type, threads, image):
        self.path, self.threads, self.image = model, threads, image
        self.request = self.compile()
        pinned = "pinned" if self.request.get_compiled_model().get_property("ENABLE_CPU_PINNING") else "not pinned"
        self.settings = (
            f"CPU, PERFORMANCE_HINT LATENCY, NUM_STREAMS 1, INFERENCE_NUM_THREADS {threads}, {pinned}, "
            "INFERENCE_PRECISION_HINT f32, one request with shared input and output"
        )

    def compile(self, **config):
        core = openvino.Core()
        network = core.read_model(self.path)
        logits = next((o for o in network.outputs if "logits" in o.names), network.outputs[0])
        network = openvino.Model([logits.node], network.get_parameters(), "network")
        network.reshape(self.image.shape)
        compiled = core.compile_model(
            network,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": 1,
                "INFERENCE_NUM_THREADS": self.threads,
                "INFERENCE_PRECISION_HINT": "f32",
            }
            | config,
        )
        request = compiled.create_infer_request()
        request.set_input_tensor(openvino.Tensor(self.image, shared_memory=True))
        return request

    def call(self):
        self.request.infer(share_outputs=True)

    def logits(self):
        return self.request.get_output_tensor().data

    def profile(self, n):
        request = self.compile(PERF_COUNT=True)
        names = Names(self.path)
        layers = {}
        for i in range(WARMUP + n):
            request.infer(share_outputs=True)
            if i < WARMUP:
                continue
            for node in request.profiling_info:
                if node.status == node.Status.EXECUTED:
                    name = names.layer(node.node_name.removesuffix("/WithoutBiases"), node.node_name)
                    layer = layers.setdefault(node.node_name, {"name": name, "op": node.node_type, "ns": 0})
                    layer["ns"] += node.real_time.total_seconds() * 1e9 / n
        return list(layers.values())


WARMUP = 3  # calls before those of a profile
