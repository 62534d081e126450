"""Checks ONNX files and runs them with ONNX Runtime: run.py MODEL.onnx INPUT.npy OUTPUT-PREFIX ...

Each graph output is written to OUTPUT-PREFIX.<its name>.npy. The models' graphs are optimized as usual.
"""

import sys

import numpy as np
import onnx
import onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = 1
for i in range(1, len(sys.argv), 3):
    model, data, prefix = sys.argv[i : i + 3]
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    results = session.run(None, {session.get_inputs()[0].name: np.load(data)})
    for output, result in zip(session.get_outputs(), results):
        np.save(f"{prefix}.{output.name}.npy", result.astype(np.float32))
