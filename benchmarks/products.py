"""Measure the study's matrix products through torch's own path and through oneDNN: `python -m benchmarks.products`.

One core, float32, GFLOP/s. The two sides take turns, and the fastest of many short repetitions count, which other users
of the machine disturb least. Rows of `MEASURED` in gridstudy/fashion/products.py come from this table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier

    from gridstudy.fashion.products import Products

SHAPES = (
    (1024, 1024, 1024), (1000, 784, 256), (1000, 256, 256), (1000, 784, 16), (1000, 256, 10), (128, 784, 512),
    (64, 784, 256), (64, 512, 512), (64, 256, 256), (64, 128, 128), (64, 64, 64), (16, 784, 256), (16, 512, 512),
    (4, 784, 256), (64, 784, 16), (64, 256, 10), (64, 16, 16),
)  # fmt: skip
"""Images, inputs and outputs of layers of the study, and one large product."""

KINDS = ("forward", "by input", "by weight")
REPETITIONS = 40
REPETITION_S = 0.0005
"""Seconds that one repetition aims at: short, so that some of them are undisturbed."""

PEAK_SIZE, PEAK_REPETITIONS, PEAK_PRODUCTS = 1024, 8, 4
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}


@dataclass(frozen=True)
class Rates:
    """Operations per second of one product through both libraries."""

    torch: float
    onednn: float


# --- one core, shape by shape ---------------------------------------------------------------------------------------


def measure_product(shape: tuple[int, int, int], kind: str, *, repetitions: int = REPETITIONS) -> Rates:
    """Time one product of a shape (m images, k inputs, n outputs) in turns; `kind` is one of `KINDS`."""
    import torch

    from gridstudy.fashion.products import OneDNNProducts, TorchProducts

    onednn = OneDNNProducts("onednn", 0, linear_pointwise=torch.ops.mkldnn._linear_pointwise.default)
    sides = [_prepare(products, shape, kind) for products in (TorchProducts(), onednn)]
    n_operations = 2 * shape[0] * shape[1] * shape[2]
    for side in sides:
        side()
    n_calls = max(1, round(REPETITION_S / _time(sides[0], n_calls=3)))
    pairs = [[_time(side, n_calls=n_calls) for side in sides] for _ in range(repetitions)]
    fastest = [min(times) for times in zip(*pairs, strict=True)]
    return Rates(torch=n_operations / fastest[0], onednn=n_operations / fastest[1])


def _prepare(products: Products, shape: tuple[int, int, int], kind: str) -> Callable[[], Any]:
    import torch

    m, k, n = shape
    inputs, weight, bias, gradient = torch.rand(m, k), torch.rand(n, k), torch.rand(n), torch.rand(m, n)
    if kind == "forward":
        return partial(products.linear, bias, inputs, weight.t())
    if kind == "by input":
        return partial(products.by_input, gradient, weight)
    return partial(products.by_weight, gradient, inputs, out=torch.empty_like(weight))


def _time(function: Callable[[], Any], *, n_calls: int) -> float:
    """Seconds per call."""
    clock = time.perf_counter()
    for _ in range(n_calls):
        function()
    return (time.perf_counter() - clock) / n_calls


def format_table(rates: Iterator[tuple[tuple[int, int, int], Sequence[Rates]]]) -> Iterator[str]:
    """Lines of a Markdown table: a row per shape, the kinds of product separated by slashes."""
    kinds = " / ".join(KINDS)
    yield f"| product (m, k, n) | torch: {kinds} | oneDNN: {kinds} | times as fast as torch |"
    yield "| --- | --- | --- | --- |"
    for shape, row in rates:
        torch_rates, onednn_rates = ([f"{getattr(r, side) / 1e9:.0f}" for r in row] for side in ("torch", "onednn"))
        ratios = [f"{r.onednn / r.torch:.2f}" for r in row]
        yield f"| {shape} | {' / '.join(torch_rates)} | {' / '.join(onednn_rates)} | {' / '.join(ratios)} |"


# --- every core, the best that each library can do ------------------------------------------------------------------


def measure_peaks(n_processes: int) -> dict[str, float]:
    """Operations per second of `n_processes` one-thread processes at once, by library; those missing are left out."""
    peaks = {name: _measure_peak(name, n_processes) for name in ("torch", "onednn", "numpy")}
    return {name: peak for name, peak in peaks.items() if peak is not None}


def _measure_peak(library: str, n_processes: int) -> float | None:
    """The best of `PEAK_REPETITIONS` rates of large float32 products; None where the library is missing."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(n_processes, timeout=120)
    connections = []
    with _environment(_ONE_THREAD):  # the libraries read it as they are loaded
        for _ in range(n_processes):
            ours, theirs = context.Pipe(duplex=False)
            context.Process(target=_multiply, args=(library, barrier, theirs), daemon=True).start()
            theirs.close()  # so that the death of the process ends the wait below
            connections.append(ours)
    columns = [connection.recv() for connection in connections]
    if not all(columns):
        return None
    return float(max(sum(at_once) for at_once in zip(*columns, strict=True)))


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _multiply(library: str, barrier: Barrier, rates: Connection) -> None:
    """Send the rate of each repetition; send nothing of it where the library is missing."""
    column: list[float] = []
    try:
        multiply = _large_product(library)
        multiply()
    except (AttributeError, RuntimeError):  # a build of torch without oneDNN
        rates.send(column)
        return
    for _ in range(PEAK_REPETITIONS):
        barrier.wait()
        column.append(2 * PEAK_SIZE**3 / _time(multiply, n_calls=PEAK_PRODUCTS))
    rates.send(column)


def _large_product(library: str) -> Callable[[], Any]:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    a, b = torch.rand(2, PEAK_SIZE, PEAK_SIZE)
    if library == "torch":
        return partial(torch.mm, a, b, out=torch.empty_like(a))
    if library == "onednn":
        return partial(torch.ops.mkldnn._linear_pointwise.default, a, b, None, "none", [], "")
    return partial(np.matmul, a.numpy(), b.numpy(), out=np.empty((PEAK_SIZE, PEAK_SIZE), np.float32))


def name_library(library: str) -> str:
    """The library behind a key of `measure_peaks`, with what calls it."""
    import numpy as np
    import torch

    if library == "onednn":
        return "oneDNN through torch"
    if library == "torch":
        return f"{'MKL' if torch._C.has_mkl else 'BLAS'} through torch"
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas['name']} {blas['version']} through numpy"


# --- command line ---------------------------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.products",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, metavar="N",
        help=f"times that each product is timed through each library (default: {REPETITIONS})")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print the processor, the rule that applies to it, and the table."""
    arguments = build_parser().parse_args(argv)
    if arguments.repetitions < 1:
        print(f"error: --repetitions takes a number from 1 up; got {arguments.repetitions}", file=sys.stderr)
        return 2
    import torch

    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        print("error: this build of torch has no oneDNN; install torch from PyPI's wheels", file=sys.stderr)
        return 2
    from gridstudy.core.machine import processor, relevant_environment
    from gridstudy.fashion.products import describe_products

    found = processor()
    print(f"{found.model_name} ({found.vendor}, family {found.family}; {' '.join(found.instruction_sets)})")
    print(f"torch {torch.__version__}; used by the study here: {describe_products()}")
    for name, value in relevant_environment().items():
        print(f"{name}={value}")
    print("One core, float32, GFLOP/s:\n")
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measure = partial(measure_product, repetitions=arguments.repetitions)
        for line in format_table((shape, [measure(shape, kind) for kind in KINDS]) for shape in SHAPES):
            print(line, flush=True)
    finally:
        torch.set_num_threads(n_threads)
    return 0


if __name__ == "__main__":
    sys.exit(main())
