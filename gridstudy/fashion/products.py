"""The matrix products of the study, through the faster of the libraries that torch ships.

On x86 torch's float32 products go through MKL, which leaves the AVX-512 of AMD's processors unused. torch also ships
oneDNN, which uses it. Neither library is faster everywhere, so `MEASURED` says which one to use on which processor and
from which size on. Nothing is timed at run time, so one machine always computes the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch

from gridstudy.core.errors import StudyError
from gridstudy.core.machine import Processor, processor, relevant_environment

LinearPointwise = Callable[
    [torch.Tensor, torch.Tensor, torch.Tensor | None, str, list[float | None], str], torch.Tensor
]
"""oneDNN's product as torch offers it: inputs (m, k), weight (n, k), bias (n,), and a function to apply -> (m, n)."""

PRODUCTS_VARIABLE = "GRIDSTUDY_PRODUCTS"
"""Overrides the choice: `torch`, `onednn` (for the sizes of AMD Zen 5), or `auto`, the default."""

_EPSILON = torch.finfo(torch.float32).eps


@dataclass(frozen=True)
class Row:
    """A processor on which both libraries were measured.

    oneDNN is faster from `least_multiplications` on, since a call costs about 10 us more than one of torch. None means
    that torch is faster at every shape.
    """

    name: str
    vendor: str
    family: str
    has_avx512: bool
    least_multiplications: int | None
    measured: str


LEAST_ON_ZEN_5 = 1_100_000
MEASURED = (
    Row(
        "AMD Zen 5", "AuthenticAMD", "26", True, LEAST_ON_ZEN_5,
        "2-core EPYC, torch 2.13. One core, GFLOP/s, torch / oneDNN, forward: (1000, 784, 256) 101 / 208, "
        "(64, 784, 256) 104 / 191, (64, 256, 256) 103 / 155, (16, 784, 256) 86 / 121. Even at 1.05 million "
        "multiplications, as at (64, 128, 128).",
    ),
    Row(
        "AMD Zen 3", "AuthenticAMD", "25", False, None,
        "EPYC. One core, GFLOP/s, torch / oneDNN, forward: (1000, 784, 256) 79 / 70, (64, 784, 256) 78 / 64, "
        "(64, 256, 256) 70 / 56, (16, 784, 256) 56 / 42, (64, 784, 16) 37 / 21.",
    ),
    Row(
        "Intel, AVX-512", "GenuineIntel", "6", True, None,
        "2-core Xeon with AMX (Sapphire Rapids or later), torch 2.13. One core, GFLOP/s, torch / oneDNN, forward: "
        "(1000, 784, 256) 160 / 160, (64, 784, 256) 150 / 129, (64, 256, 256) 139 / 105, (16, 784, 256) 104 / 70, "
        "(64, 784, 16) 103 / 46; by input and by weight torch leads by more.",
    ),
)  # fmt: skip
"""The products are (m, k, n): m images, k inputs, n outputs. `python -m benchmarks.products` prints a row."""


class TorchProducts:
    """torch's own products, through the library that torch was built with."""

    def __init__(self, name: str = "torch") -> None:
        self.name = name

    @staticmethod
    def linear(bias: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Bias (n,), inputs (m, k) and weight (k, n) -> outputs (m, n)."""
        return torch.addmm(bias, inputs, weight)

    @staticmethod
    def by_input(gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Gradient by the outputs (m, n) and weight (n, k) -> gradient by the inputs (m, k)."""
        return torch.mm(gradient, weight)

    @staticmethod
    def by_weight(gradient: torch.Tensor, inputs: torch.Tensor, *, out: torch.Tensor) -> None:
        """Gradient by the outputs (m, n) and inputs (m, k) -> gradient by the weight (n, k), left in `out`."""
        torch.mm(gradient.t(), inputs, out=out)


class OneDNNProducts:
    """oneDNN's products from `least_multiplications` on, torch's below; float32 tensors on the CPU.

    ReLU is left to torch: the one that oneDNN can add to a product turns NaN into 0, which hides a divergence.
    """

    def __init__(self, name: str, least_multiplications: int, *, linear_pointwise: LinearPointwise) -> None:
        self.name = name
        self._least = least_multiplications
        self._linear_pointwise = linear_pointwise

    def linear(self, bias: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Bias (n,), inputs (m, k) and weight (k, n) -> outputs (m, n)."""
        if inputs.numel() * len(bias) >= self._least:
            return self._linear_pointwise(inputs, weight.t(), bias, "none", [], "")
        return torch.addmm(bias, inputs, weight)

    def by_input(self, gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Gradient by the outputs (m, n) and weight (n, k) -> gradient by the inputs (m, k)."""
        if weight.numel() * len(gradient) >= self._least:
            return self._linear_pointwise(gradient, weight.t(), None, "none", [], "")
        return torch.mm(gradient, weight)

    def by_weight(self, gradient: torch.Tensor, inputs: torch.Tensor, *, out: torch.Tensor) -> None:
        """Gradient by the outputs (m, n) and inputs (m, k) -> gradient by the weight (n, k), left in `out`.

        oneDNN cannot write to a given tensor, so `out` takes over the memory of the product. It must not be a view.
        """
        if out.numel() * len(inputs) >= self._least:
            out.data = self._linear_pointwise(gradient.t(), inputs.t(), None, "none", [], "")
        else:
            torch.mm(gradient.t(), inputs, out=out)


Products = TorchProducts | OneDNNProducts


def choose_products(device: torch.device | str = "cpu") -> Products:
    """The products that this process uses on a device; StudyError on an unknown value of `PRODUCTS_VARIABLE`."""
    return _products_on_cpu() if torch.device(device).type == "cpu" else TorchProducts()


def describe_products(device: torch.device | str = "cpu") -> str:
    """Name the products that this process uses on a device, such as "onednn (AMD Zen 5)" or "torch"."""
    return choose_products(device).name


@lru_cache(maxsize=1)
def _products_on_cpu() -> Products:
    return select_products(processor(), os.environ, find_linear_pointwise=_find_linear_pointwise)


def select_products(
    processor: Processor, environment: Mapping[str, str], *, find_linear_pointwise: Callable[[], LinearPointwise]
) -> Products:
    """The products for a processor under some environment variables.

    oneDNN's are compared with torch's before they are used; when they fail or differ by more than the rounding of
    float32, torch's are chosen, and their name says why. StudyError on an unknown value of `PRODUCTS_VARIABLE`.
    """
    choice = environment.get(PRODUCTS_VARIABLE, "auto")
    if choice not in ("auto", "torch", "onednn"):
        raise StudyError(f"unknown {PRODUCTS_VARIABLE} {choice!r}; choose from auto, torch, onednn")
    row = find_row(processor)
    if choice == "onednn":
        name, least = f"onednn ({PRODUCTS_VARIABLE})", LEAST_ON_ZEN_5
    elif choice == "auto" and row and row.least_multiplications and not relevant_environment(environment):
        name, least = f"onednn ({row.name})", row.least_multiplications
    else:
        return TorchProducts()
    try:
        linear_pointwise = find_linear_pointwise()
        _compare_with_torch(OneDNNProducts(name, 0, linear_pointwise=linear_pointwise))
    except Exception as error:  # whatever another build of torch raises, its own products remain
        reason = str(error).partition("\n")[0] or type(error).__name__
        return TorchProducts(f"torch (oneDNN refused: {reason})")
    return OneDNNProducts(name, least, linear_pointwise=linear_pointwise)


def _find_linear_pointwise() -> LinearPointwise:
    found: LinearPointwise = torch.ops.mkldnn._linear_pointwise.default
    return found


def _compare_with_torch(products: OneDNNProducts) -> None:
    """Raise ArithmeticError when the products of a large layer differ from torch's beyond the rounding of float32."""
    generator = torch.Generator().manual_seed(0)
    inputs, weight, bias, gradient = (
        torch.randn(shape, generator=generator) for shape in ((64, 784), (256, 784), (256,), (64, 256))
    )
    by_weight = torch.empty_like(weight)
    products.by_weight(gradient, inputs, out=by_weight)
    _expect_equal("forward", products.linear(bias, inputs, weight.t()), (inputs, weight.t()), bias=bias)
    _expect_equal("by input", products.by_input(gradient, weight), (gradient, weight))
    _expect_equal("by weight", by_weight, (gradient.t(), inputs))


def _expect_equal(
    what: str, product: torch.Tensor, factors: tuple[torch.Tensor, torch.Tensor], *, bias: torch.Tensor | None = None
) -> None:
    """Allow the rounding of a sum of k terms, which grows like sqrt(k): a share of the sum of the absolute values.

    Two float32 products use about a quarter of it at most; factors rounded to TF32 or bfloat16 exceed it many times.
    """
    a, b = factors
    tolerance = _EPSILON * a.shape[1] ** 0.5
    zero = torch.zeros(b.shape[1]) if bias is None else bias
    difference = (product - torch.addmm(zero, a, b)).abs()
    if not bool((difference <= tolerance * torch.addmm(zero.abs(), a.abs(), b.abs())).all()):
        raise ArithmeticError(f"its product {what} differs from torch's by up to {float(difference.max()):.2g}")


def find_row(processor: Processor) -> Row | None:
    """The row of the table that was measured on a processor of this kind; None where there is none."""
    has_avx512 = "avx512f" in processor.instruction_sets
    kind = (processor.vendor, processor.family, has_avx512)
    return next((row for row in MEASURED if (row.vendor, row.family, row.has_avx512) == kind), None)
