"""Runs a network on one engine and times its calls, as a process of its own.

    worker.py IMPL MODEL.onnx TYPE THREADS INPUT.npy OUTPUT.npy

IMPL names an engine (see ENGINES). TYPE is f32 or int8; for int8 the model is a QDQ file. The input is
float32, 1x3xHxW. With the TYPE train, the input is a batch, and a call is a step of training on it; in the place of
logits are the loss before the first step, and by how much that changes each layer's weights and then its biases.
When the engine is warm and its logits are in OUTPUT.npy, one JSON line goes to stdout:

    {"version": "1.2.3", "settings": "…"}

Then each line of stdin is a request, and has a line as its answer:

    {"calls": N}    {"ns": [N latencies, in nanoseconds]}
    {"profile": N}  {"layers": [{"name": "conv1", "op": "Conv", "ns": 123.0}, …]}, or null in place of the list

The end of stdin ends the process. A failure is one line {"error": "…"} and exit status 1.
"""

import gc
import importlib
import json
import os
import signal
import sys
import time

# What implements each IMPL. A module has a class Engine with
#   Engine(impl, model, type, threads, image)
#   version, settings    strings, for people
#   call()               one inference of image, or one step of training, complete when it returns
#   logits()             what the last call computed, or what the first step did, as an array
#   profile(n)           the layers' mean times over n calls, or None where the engine does not tell
ENGINES = {
    "onnxruntime": "engine_onnxruntime",
    "openvino": "engine_openvino",
    "ncnn": "engine_ncnn",
    "ncnn-f32": "engine_ncnn",
    "mnn": "engine_mnn",
    "litert": "engine_litert",
    "tract": "engine_tract",
    "pytorch": "engine_pytorch",
}

# Caches, page tables and the engine's own choices have settled after this many calls and this long.
WARMUP_CALLS = 5
WARMUP_SECONDS = 0.5


def main(args):
    import numpy  # Here, so that its absence is an answer too.

    if len(args) != 6:
        raise ValueError(f"got {len(args)} arguments, want IMPL MODEL TYPE THREADS INPUT OUTPUT")
    impl, model, type, threads, input, output = args
    if impl not in ENGINES:
        raise ValueError(f"unknown engine {impl!r}, want one of {', '.join(ENGINES)}")
    if type not in ("f32", "int8", "train"):
        raise ValueError(f"unknown type {type!r}, want f32, int8 or train")
    if not threads.isascii() or not threads.isdigit() or int(threads) == 0:
        raise ValueError(f"{threads!r} threads, want a positive number")
    image = numpy.load(input)
    if image.dtype != numpy.float32 or image.ndim != 4 or image.shape[1] != 3 or len(image) != 1 and type != "train":
        raise ValueError(f"{input}: {image.dtype} of shape {image.shape}, want float32 of shape 1x3xHxW, or Nx3xHxW to train")
    if not os.path.isfile(model):
        raise FileNotFoundError(f"{model}: no such file")

    engine = importlib.import_module(ENGINES[impl]).Engine(impl, model, type, int(threads), image)
    end = time.perf_counter() + WARMUP_SECONDS
    calls = 0
    while calls < WARMUP_CALLS or time.perf_counter() < end:
        engine.call()
        calls += 1
    with open(output, "wb") as file:
        numpy.save(file, numpy.asarray(engine.logits(), numpy.float32).ravel())
    answer(version=engine.version, settings=engine.settings)

    # The collector would stop calls at random.
    gc.collect()
    gc.disable()
    for line in sys.stdin:
        serve(engine, json.loads(line))


def serve(engine, request):
    match request:
        case {"calls": int(n)} if n > 0:
            answer(ns=measure(engine.call, n))
        case {"profile": int(n)} if n > 0:
            answer(layers=merge(engine.profile(n)))
        case _:
            raise ValueError(f"unknown request {json.dumps(request)}")


def measure(call, n):
    """The latencies of n calls, in nanoseconds."""
    clock = time.perf_counter_ns
    ns = [0] * n
    for i in range(n):
        start = clock()
        call()
        ns[i] = clock() - start
    return ns


def merge(layers):
    """The layers with one entry for each name, and the op of its longest step: an engine may run a layer in several."""
    if not layers:
        return None
    merged = {}
    for layer in sorted(layers, key=lambda layer: -layer["ns"]):
        merged.setdefault(layer["name"], layer | {"ns": 0})["ns"] += layer["ns"]
    order = {layer["name"]: i for i, layer in reversed(list(enumerate(layers)))}
    return sorted(merged.values(), key=lambda layer: order[layer["name"]])


def answer(**fields):
    answers.write(json.dumps(fields) + "\n")
    answers.flush()


if __name__ == "__main__":
    # Engines print to stdout as they like, also from C++: only answers go there.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        main(sys.argv[1:])
    except Exception as err:
        message = " ".join(f"{err.__class__.__name__}: {err}".split())
        answer(error=message if len(message) <= 300 else message[:300] + "…")
        sys.exit(1)
