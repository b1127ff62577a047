"""The multilayer perceptron under study."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from gridstudy.fashion.products import Products


class MLP(nn.Module):
    """A multilayer perceptron with ReLU between its layers, images (B, 1, 28, 28) or (B, 784) -> logits (B, 10).

    `units` gives the width of each hidden layer from input to output. Parameters start as torch initialises them.
    The public attributes are plain numbers, because mltrainer writes them to model.toml.
    """

    def __init__(self, units: Sequence[int], *, n_inputs: int = 784, n_classes: int = 10) -> None:
        super().__init__()
        self.n_inputs = n_inputs
        self.n_classes = n_classes
        self.depth = len(units)
        for number, width in enumerate(units, start=1):
            setattr(self, f"units{number}", width)
        widths = (n_inputs, *units)
        hidden: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            hidden += [nn.Linear(n_in, n_out), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], n_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(images)
        return logits

    def logits(self, images: torch.Tensor, products: Products) -> torch.Tensor:
        """Images (B, 784) -> logits (B, 10) as `forward` computes them, by the given products and without a graph."""
        *hidden, last = ((layer.bias.detach(), layer.weight.detach().t()) for layer in self.linear_layers())
        values = images
        for bias, weight in hidden:
            values = products.linear(bias, values, weight).relu_()
        return products.linear(last[0], values, last[1])

    def linear_layers(self) -> list[nn.Linear]:
        """The layers that hold parameters, from input to output."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]
