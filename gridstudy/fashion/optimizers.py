"""The optimizers of the study: torch's kernels on all parameters at once.

Each gives the bits of the torch.optim class of its name, fused where torch has such a kernel, without what that class
does around the kernel: for small networks that is a fifth of an update, and its first step imports torch's compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import torch
from torch import nn

EPSILON = 1e-8


class Optimizer:
    """Updates parameters by the gradients in their `grad`, which it makes where there is none.

    mltrainer calls it as an optimizer class and reads the learning rate from `param_groups`.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float) -> None:
        parameters = list(parameters)
        self.param_groups = [{"lr": lr}]
        self._values = [parameter.detach() for parameter in parameters]
        self._gradients = [find_gradient(parameter) for parameter in parameters]

    def step(self) -> None:
        """Update the parameters, with subnormal numbers taken as zero.

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

    def _zeros(self) -> list[torch.Tensor]:
        return [torch.zeros_like(values) for values in self._values]


class SGD(Optimizer):
    """torch.optim.SGD with `fused`."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0, momentum: float = 0.0
    ) -> None:
        super().__init__(parameters, lr=lr)
        self._is_first_step = momentum > 0
        self._update = partial(
            torch._fused_sgd_,
            self._values,
            self._gradients,
            self._zeros() if momentum else [],
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


class Adam(Optimizer):
    """torch.optim.Adam with `fused`."""

    kernel: Callable[..., None] = staticmethod(torch._fused_adam_)

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, lr=lr)
        self._n_steps = torch.zeros((), device=self._values[0].device)
        self._update = partial(
            self.kernel,
            self._values,
            self._gradients,
            self._zeros(),
            self._zeros(),
            [],
            [self._n_steps] * len(self._values),
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


class RMSprop(Optimizer):
    """torch.optim.RMSprop."""

    smoothing = 0.99

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, lr=lr)
        self._lr, self._weight_decay = lr, weight_decay
        self._square_averages = self._zeros()

    def _update_parameters(self) -> None:
        gradients = self._gradients
        if self._weight_decay:
            gradients = list(torch._foreach_add(gradients, self._values, alpha=self._weight_decay))
        torch._foreach_mul_(self._square_averages, self.smoothing)
        torch._foreach_addcmul_(self._square_averages, gradients, gradients, value=1 - self.smoothing)
        scales = torch._foreach_sqrt(self._square_averages)
        torch._foreach_add_(scales, EPSILON)
        torch._foreach_addcdiv_(self._values, gradients, scales, value=-self._lr)


OPTIMIZERS: Mapping[str, type[Optimizer]] = {"SGD": SGD, "Adam": Adam, "AdamW": AdamW, "RMSprop": RMSprop}


def find_gradient(parameter: torch.Tensor) -> torch.Tensor:
    """The parameter's `grad`, made of zeros where there is none."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
