"""Checks ONNX files and runs them with ONNX Runtime: run.py MODEL.onnx INPUT.npy OUTPUT-PREFIX ...

Output i of a graph is written to OUTPUT-PREFIX.i.npy, as float32. Graphs are optimized as usual.
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
    for number, result in enumerate(results):
        np.save(f"{prefix}.{number}.npy", result.astype(np.float32))
