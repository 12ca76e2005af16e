"""Matrix products of recurrent layers, ways to compute them: GFLOP a second of one thread.

By the thread's own processor time, the best of several turns, since others may run. In bfloat16
where we have code for it; the factors of ours are in float32 and rounded on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from common import write_result

from musengine.nn import compiled

SHAPES = {
    "biaxial, a step of 10 segments": (780, 300, 1200),
    "biaxial, its gradient": (780, 1200, 300),
    "biaxial, a generated step": (78, 300, 1200),
    "biaxial, input of all steps": (9906, 80, 1200),
    "notes of 16 pieces": (16, 150, 200),
    "lstm3, 5 tunes": (5, 176, 704),
    "charrnn, one text": (1, 178, 712),
}
ONE_DNN = torch.ops.mkldnn._linear_pointwise
TURNS, LEAST = 7, 1e8


def rate(work: Callable[[], object], operations: float) -> float:
    """Return GFLOP a second of the best turn."""
    times, best = max(1, round(LEAST / operations)), float("inf")
    for _ in range(TURNS):
        began = time.thread_time()
        for _ in range(times):
            work()
        best = min(best, (time.thread_time() - began) / times)
    return round(operations / best / 1e9, 1)


def main() -> None:
    """Measure every way for every shape."""
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for name, (rows, depth, columns) in SHAPES.items():
        a, b = torch.randn(rows, depth), torch.randn(depth, columns)
        c, packed = torch.empty(rows, columns), compiled.packed(b)
        turned = torch.ops.mkldnn._reorder_linear_weight(b.t().contiguous(), rows)
        a_numpy, b_numpy, c_numpy = a.numpy(), b.numpy(), c.numpy()
        sizes = (compiled.kernels, 0, rows, depth, columns)
        addresses = (a.data_ptr(), depth, packed.data_ptr(), c.data_ptr(), columns)
        ways: dict[str, Callable[[], object]] = {
            "compiled, packed": lambda s=sizes, d=addresses: compiled._recurrent.product(*s, *d),
            "torch.mm (MKL)": lambda a=a, b=b, c=c: torch.mm(a, b, out=c),
            "oneDNN, packed": lambda a=a, w=turned: ONE_DNN(a, w, None, "none", [], ""),
            "NumPy (OpenBLAS)": lambda a=a_numpy, b=b_numpy, c=c_numpy: a.dot(b, out=c),
        }
        if compiled.low_kernels:
            low = compiled.packed(b, compiled.low_kernels)
            at = (
                compiled.low_kernels,
                *sizes[1:],
                a.data_ptr(),
                depth,
                low.data_ptr(),
                *addresses[3:],
            )
            ways["compiled, bfloat16"] = lambda at=at: compiled._recurrent.product(*at)
            a_low, b_low = a.bfloat16(), b.bfloat16()
            c_low = c.bfloat16()
            ways["torch.mm, bfloat16"] = lambda a=a_low, b=b_low, c=c_low: torch.mm(a, b, out=c)
        operations = 2.0 * rows * depth * columns
        figures[f"{name}: {rows} x {depth} x {columns}"] = {
            way: rate(work, operations) for way, work in ways.items()
        }
    write_result("products", "OPENBLAS_NUM_THREADS=1 python benchmarks/products.py", figures)


if __name__ == "__main__":
    main()
