"""ONNX Runtime's CPU execution provider."""

import json
import os
import re
import tempfile

import numpy
import onnxruntime

from names import Names

WARMUP = 3  # calls before those of a profile


class Engine:
    version = onnxruntime.__version__

    def __init__(self, impl, model, type, threads, image):
        self.model, self.threads, self.image = model, threads, image
        self.session = onnxruntime.InferenceSession(model, self.options(), ["CPUExecutionProvider"])
        self.binding, self.output = self.bind(self.session)
        self.settings = (
            f"CPUExecutionProvider, optimization ALL, {threads} intra-op threads that spin during a call only, "
            "sequential, memory arena and pattern, input and output bound in place"
        )

    def options(self):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = True
        options.enable_mem_pattern = True
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # Known shapes let more of the graph be rewritten.
        options.add_free_dimension_override_by_name("N", 1)
        return options

    def bind(self, session):
        outputs = [output.name for output in session.get_outputs()]
        name = "logits" if "logits" in outputs else outputs[0]
        binding = session.io_binding()
        binding.bind_ortvalue_input(
            session.get_inputs()[0].name, onnxruntime.OrtValue.ortvalue_from_numpy(self.image)
        )
        shape = session.run([name], {session.get_inputs()[0].name: self.image})[0].shape
        output = onnxruntime.OrtValue.ortvalue_from_numpy(numpy.zeros(shape, numpy.float32))
        binding.bind_ortvalue_output(name, output)
        return binding, output

    def call(self):
        self.session.run_with_iobinding(self.binding)

    def logits(self):
        return self.output.numpy()

    def profile(self, n):
        # Profiling costs time, so that it has a session of its own.
        with tempfile.TemporaryDirectory() as folder:
            options = self.options()
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(folder, "profile")
            session = onnxruntime.InferenceSession(self.model, options, ["CPUExecutionProvider"])
            binding, _ = self.bind(session)
            for _ in range(WARMUP + n):
                session.run_with_iobinding(binding)
            with open(session.end_profiling(), encoding="utf-8") as file:
                events = [event for event in json.load(file) if event["name"].endswith("_kernel_time")]

        # Each run has the same events. The first ones are those of bind and of the warm-up.
        nodes = len(events) // (1 + WARMUP + n)
        names = Names(self.model)
        layers = []
        for i in range(nodes):
            runs = events[(1 + WARMUP) * nodes + i :: nodes]
            layers.append(
                {
                    "name": layer(names, runs[0]["name"]),
                    "op": runs[0]["args"]["op_name"],
                    "ns": sum(run["dur"] for run in runs) * 1e3 / n,
                }
            )
        return layers


def layer(names, event):
    """The layer that an event of a profile is about."""
    node = event.removesuffix("_kernel_time").removeprefix("fused ")
    return names.layer(re.sub("(_nchwc)?(_token_[0-9]+)?$", "", node), node)
