"""Backpropagation through the network, written out.

It calls the kernels that autograd would call, in the same order, but builds no graph: for networks as small as these
the graph costs up to half of an update. With torch's own products the losses and gradients are autograd's to the bit.
"""

from __future__ import annotations

import torch

from gridstudy.fashion.network import MLP
from gridstudy.fashion.optimizers import find_gradient
from gridstudy.fashion.products import Products, choose_products

_nll_loss_forward = torch.ops.aten.nll_loss_forward.default
_nll_loss_backward = torch.ops.aten.nll_loss_backward.default
_log_softmax_backward = torch.ops.aten._log_softmax_backward_data.default
_relu_backward = torch.ops.aten.threshold_backward.default
_MEAN = 1
_IGNORE_NOTHING = -100


class CrossEntropyGradients:
    """Computes the mean cross entropy of a batch and leaves its gradients in the parameters' `grad`, overwriting them.

    Neither parameters nor their `grad` may be replaced after this is made; a call may move a `grad` in memory.
    By default the products are those that `choose_products` chooses for the parameters' device.
    """

    def __init__(self, model: MLP, products: Products | None = None) -> None:
        layers = model.linear_layers()
        self._weights = [layer.weight.detach() for layer in layers]
        self._transposed = [weight.t() for weight in self._weights]
        self._biases = [layer.bias.detach() for layer in layers]
        self._weight_gradients = [find_gradient(layer.weight) for layer in layers]
        self._bias_gradients = [find_gradient(layer.bias) for layer in layers]
        device = self._weights[0].device
        self._one = torch.ones((), device=device)
        self._products = products or choose_products(device)

    def __call__(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Images float32 (B, 784) and labels int64 (B,) -> loss, a tensor without dimensions."""
        inputs = self._forward(images)
        log_probabilities = torch.log_softmax(inputs.pop(), dim=1)
        loss, weight = _nll_loss_forward(log_probabilities, labels, None, _MEAN, _IGNORE_NOTHING)
        gradient = _nll_loss_backward(self._one, log_probabilities, labels, None, _MEAN, _IGNORE_NOTHING, weight)
        gradient = _log_softmax_backward(gradient, log_probabilities, 1, torch.float32)
        self._backward(gradient, inputs)
        return loss  # type: ignore[no-any-return]

    def _forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The input of every layer, and the logits last."""
        values = [images]
        for bias, weight in zip(self._biases[:-1], self._transposed[:-1], strict=True):
            values.append(self._products.linear(bias, values[-1], weight).relu_())
        values.append(self._products.linear(self._biases[-1], values[-1], self._transposed[-1]))
        return values

    def _backward(self, gradient: torch.Tensor, inputs: list[torch.Tensor]) -> None:
        """Turn the loss's gradient by the logits, (B, 10), into those by weights and biases, from last to first."""
        for i in reversed(range(len(inputs))):
            self._products.by_weight(gradient, inputs[i], out=self._weight_gradients[i])
            torch.sum(gradient, 0, out=self._bias_gradients[i])
            if i:
                gradient = _relu_backward(self._products.by_input(gradient, self._weights[i]), inputs[i], 0)
