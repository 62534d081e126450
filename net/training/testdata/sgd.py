"""Records steps of SGD in sgd.json: PyTorch's own, and Caffe's by its formulas in NumPy, as Caffe has no package.

    python3 sgd.py > sgd.json      # packages: torch, numpy

A case has a layer of 2×3×1×1 weights and 2 biases, and for each step the rate and the sums of the gradients of some
images. Numbers of exact cases have so few digits that no step rounds: all orders and fusings of operations must give
the same bits. The other cases have ordinary numbers.

Caffe: SGDSolver in src/caffe/solvers/sgd_solver.cpp and nesterov_solver.cpp. PyTorch: torch.optim.SGD and
torch.nn.utils.clip_grad_norm_, which divides by the norm plus 1e-6.
"""

import json

import numpy as np
import torch

torch.set_num_threads(1)
F = np.float32


def pytorch(case, weights, bias, gradients):
    w, b = (torch.nn.Parameter(torch.tensor(x)) for x in (weights, bias))
    decay = case["decay"]
    sgd = torch.optim.SGD(
        [{"params": [w], "weight_decay": decay},
         {"params": [b], "weight_decay": decay if case["decay_biases"] else 0}],
        lr=1, momentum=case["momentum"], nesterov=case["nesterov"])
    for rate, (gw, gb) in zip(case["rates"], gradients):
        w.grad, b.grad = (torch.tensor(g) / case["images"] for g in (gw, gb))
        if case["max_norm"]:
            torch.nn.utils.clip_grad_norm_([w, b], case["max_norm"])
        for group in sgd.param_groups:
            group["lr"] = rate
        sgd.step()
        yield w.detach().numpy().copy(), b.detach().numpy().copy()


def caffe(case, weights, bias, gradients):
    params = [weights.copy(), bias.copy()]
    history = [np.zeros_like(p) for p in params]
    momentum = F(case["momentum"])
    for rate, grads in zip(case["rates"], gradients):
        rate = F(rate)
        diffs = [g / F(case["images"]) for g in grads]  # Normalize
        if case["max_norm"]:  # ClipGradients
            norm = np.sqrt(sum(np.sum(np.square(d, dtype=np.float64)) for d in diffs))
            if norm > case["max_norm"]:
                diffs = [d * F(case["max_norm"] / norm) for d in diffs]
        for i, d in enumerate(diffs):
            if i == 0 or case["decay_biases"]:  # Regularize
                d = d + F(case["decay"]) * params[i]
            before = history[i]
            history[i] = rate * d + momentum * before  # ComputeUpdateValue
            update = history[i]
            if case["nesterov"]:
                update = (1 + momentum) * history[i] - momentum * before
            params[i] = (params[i] - update).astype(F)
        yield params[0].copy(), params[1].copy()


def main():
    rng = np.random.default_rng(13)
    cases = []
    for form, run in (("pytorch", pytorch), ("caffe", caffe)):
        for exact in (True, False):
            for nesterov in (False, True):
                for decay_biases in (False, True):
                    for max_norm in (0, 0.5) if not exact else (0,):
                        if exact:
                            draw = lambda *s: (rng.integers(-32, 33, s) / 32).astype(F)
                            steps, rates = 3, [0.25, 0.25, 0.5]
                            momentum, decay = 0.5, 0.25
                        else:
                            draw = lambda *s: rng.standard_normal(s).astype(F)
                            steps, rates = 5, [0.04, 0.03, 0.02, 0.01, 0.005]
                            momentum, decay = 0.9, 0.0002
                        case = {
                            "form": form, "exact": exact, "nesterov": nesterov, "momentum": momentum, "decay": decay,
                            "decay_biases": decay_biases, "max_norm": max_norm, "images": 4, "rates": rates,
                        }
                        weights, bias = draw(2, 3, 1, 1), draw(2)
                        gradients = [(draw(2, 3, 1, 1), draw(2)) for _ in range(steps)]
                        flat = lambda pair: [float(x) for a in pair for x in a.ravel()]
                        case["values"] = flat((weights, bias))
                        case["gradients"] = [flat(g) for g in gradients]
                        case["want"] = [flat(p) for p in run(case, weights, bias, gradients)]
                        cases.append(case)
    print("[")
    print(",\n".join(json.dumps(c) for c in cases))
    print("]")


main()
