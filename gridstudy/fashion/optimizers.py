"""The optimizers of the study: torch's kernels on all parameters as one vector.

Each gives the bits of the torch.optim class of its name, fused where torch has such a kernel, without what that class
does around the kernel: for small networks that is a fifth of an update, and its first step imports torch's compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import nn

EPSILON = 1e-8


class FlatOptimizer:
    """Updates parameters and keeps their moments as one vector each; the parameters become views of that vector.

    mltrainer calls it as an optimizer class and reads the learning rate from `param_groups`.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float) -> None:
        self.param_groups = [{"lr": lr}]
        self._values, self._gradient = flatten_parameters(list(parameters))

    def step(self) -> None:
        """Update the parameters by the gradients in their `grad`, with subnormal numbers taken as zero.

        The moments of weights whose gradient stays at zero, such as those of pixels at the border, decay below 1e-38
        within 800 updates. Processors take many times as long over such numbers, which are too small to move a weight.
        The mode is that of the calling thread, the only one of a trial.
        """
        torch.set_flush_denormal(True)
        try:
            self._update_parameters()
        finally:
            torch.set_flush_denormal(False)

    def _update_parameters(self) -> None:
        raise NotImplementedError

    def _zeros(self) -> torch.Tensor:
        return torch.zeros_like(self._values)


class SGD(FlatOptimizer):
    """torch.optim.SGD with `fused`."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0, momentum: float = 0.0
    ) -> None:
        super().__init__(parameters, lr=lr)
        self._is_first_step = momentum > 0
        self._update = partial(
            torch._fused_sgd_,
            [self._values],
            [self._gradient],
            [self._zeros()] if momentum else [],
            lr=lr,
            weight_decay=weight_decay,
            momentum=momentum,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

    def _update_parameters(self) -> None:
        self._update(is_first_step=self._is_first_step)
        self._is_first_step = False


class Adam(FlatOptimizer):
    """torch.optim.Adam with `fused`."""

    kernel: Callable[..., None] = staticmethod(torch._fused_adam_)

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, lr=lr)
        self._n_steps = torch.zeros((), device=self._values.device)
        self._update = partial(
            self.kernel,
            [self._values],
            [self._gradient],
            [self._zeros()],
            [self._zeros()],
            [],
            [self._n_steps],
            lr=lr,
            beta1=0.9,
            beta2=0.999,
            weight_decay=weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def _update_parameters(self) -> None:
        self._n_steps += 1
        self._update()


class AdamW(Adam):
    """torch.optim.AdamW with `fused`: weight decay apart from the gradient."""

    kernel = staticmethod(torch._fused_adamw_)


class RMSprop(FlatOptimizer):
    """torch.optim.RMSprop."""

    smoothing = 0.99

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, lr=lr)
        self._lr, self._weight_decay = lr, weight_decay
        self._square_average = self._zeros()

    def _update_parameters(self) -> None:
        gradient = self._gradient
        if self._weight_decay:
            gradient = gradient.add(self._values, alpha=self._weight_decay)
        self._square_average.mul_(self.smoothing).addcmul_(gradient, gradient, value=1 - self.smoothing)
        scale = self._square_average.sqrt().add_(EPSILON)
        self._values.addcdiv_(gradient, scale, value=-self._lr)


OPTIMIZERS: Mapping[str, type[FlatOptimizer]] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW, "RMSprop": RMSprop}


def flatten_parameters(parameters: list[nn.Parameter]) -> tuple[torch.Tensor, torch.Tensor]:
    """Move parameters and their gradients, set to zero, into one vector each, of which they become views."""
    values = torch.cat([p.detach().reshape(-1) for p in parameters])
    gradient = torch.zeros_like(values)
    sizes = [p.numel() for p in parameters]
    for parameter, its_values, its_gradient in zip(
        parameters, torch.split(values, sizes), torch.split(gradient, sizes), strict=True
    ):
        parameter.data = its_values.view_as(parameter)
        parameter.grad = its_gradient.view_as(parameter)
    return values, gradient
