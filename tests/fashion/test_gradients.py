from __future__ import annotations

import pytest
import torch

from gridstudy.fashion.gradients import CrossEntropyGradients
from gridstudy.fashion.network import MLP
from gridstudy.fashion.products import TorchProducts


@pytest.mark.parametrize("units", [(16,), (256, 256), (64, 32, 32), (512, 512)])
@pytest.mark.parametrize("batch_size", [1, 4, 50, 128])
def test_loss_and_gradients_are_those_of_autograd_to_the_last_bit(units, batch_size):
    torch.manual_seed(0)
    model = MLP(units)
    images, labels = torch.rand(batch_size, 784), torch.randint(0, 10, (batch_size,))
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loss = CrossEntropyGradients(model, TorchProducts())(images, labels)
        ours = [p.grad.clone() for p in model.parameters()]
        model.zero_grad(set_to_none=False)
        expected = torch.nn.functional.cross_entropy(model(images), labels)
        expected.backward()
    finally:
        torch.set_num_threads(n_threads)
    assert torch.equal(loss, expected.detach())
    for gradient, parameter in zip(ours, model.parameters(), strict=True):
        assert torch.equal(gradient, parameter.grad)


def test_gradients_are_overwritten_not_summed():
    torch.manual_seed(0)
    model = MLP((8,))
    gradients = CrossEntropyGradients(model)
    images, labels = torch.rand(5, 784), torch.randint(0, 10, (5,))
    gradients(images, labels)
    first = [p.grad.clone() for p in model.parameters()]
    gradients(images, labels)
    assert all(torch.equal(g, p.grad) for g, p in zip(first, model.parameters(), strict=True))
