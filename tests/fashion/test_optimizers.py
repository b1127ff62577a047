from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from gridstudy.fashion.network import MLP
from gridstudy.fashion.optimizers import OPTIMIZERS

CASES = [
    ("SGD", {}),
    ("SGD", {"weight_decay": 0.01}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.01}),
    *((name, {"weight_decay": decay}) for name in ("Adam", "AdamW", "RMSprop") for decay in (0.0, 0.01)),
]


@pytest.fixture
def one_thread():
    """As in a trial: torch's other threads keep modes of their own."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def _network():
    torch.manual_seed(0)
    return MLP((32, 16))


def _walk(parameters, step, *, n_steps=5):
    """Steps along gradients that only the seed decides; the parameters after each, as one vector."""
    generator = torch.Generator().manual_seed(1)
    points = []
    for _ in range(n_steps):
        for p in parameters:
            p.grad.copy_(torch.randn(p.shape, generator=generator))
        step()
        points.append(torch.cat([p.detach().reshape(-1) for p in parameters]))
    return points


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_step_is_that_of_torch_to_the_last_bit(name, settings):
    ours, plain = _network(), _network()
    optimizer = OPTIMIZERS[name](ours.parameters(), lr=0.01, **settings)
    for p in plain.parameters():
        p.grad = torch.zeros_like(p)
    fused = {} if name == "RMSprop" else {"fused": True}
    theirs = getattr(torch.optim, name)(plain.parameters(), lr=0.01, **{"weight_decay": 0.0, **settings}, **fused)
    walked = _walk(list(ours.parameters()), optimizer.step)
    assert all(map(torch.equal, walked, _walk(list(plain.parameters()), theirs.step)))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_follows_gradients_that_moved_in_memory(name):
    ours, moved = _network(), _network()
    ends = []
    for network in (ours, moved):
        optimizer = OPTIMIZERS[name](network.parameters(), lr=0.01)
        for p in network.parameters():
            if network is moved:
                p.grad.data = torch.ones_like(p)
            p.grad.fill_(1)
        optimizer.step()
        ends.append(torch.cat([p.detach().reshape(-1) for p in network.parameters()]))
    assert torch.equal(*ends)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_weights_are_those_of_torch_after_moments_have_decayed_below_normal_numbers(name):
    torch.manual_seed(0)
    start = torch.randn(64) / 28
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    optimizer = OPTIMIZERS[name]([ours], lr=0.001)
    expected = getattr(torch.optim, name)([theirs], lr=0.001, weight_decay=0.0, fused=True)
    for step in range(900):
        ours.grad.normal_()
        if step:
            ours.grad[:32] = 0
        theirs.grad = ours.grad.clone()
        optimizer.step()
        expected.step()
    moment = expected.state[theirs]["exp_avg"][:32].abs()
    assert ((moment > 0) & (moment < torch.finfo(torch.float32).tiny)).all()
    assert torch.equal(ours.detach(), theirs.detach())


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_subnormal_numbers_count_as_zero_in_a_step_and_nowhere_else(name, settings, one_thread):
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot flush them")
    parameter = torch.nn.Parameter(torch.zeros(64))
    optimizer = OPTIMIZERS[name]([parameter], lr=1.0, **settings)
    parameter.grad.fill_(1e-39)
    optimizer.step()
    assert not parameter.any()
    assert (torch.full((64,), 1e-38) / 10).all()


def test_the_learning_rate_is_where_mltrainer_reads_it():
    assert OPTIMIZERS["Adam"](_network().parameters(), lr=0.25).param_groups[0]["lr"] == 0.25


def test_a_step_does_not_import_the_compiler_of_torch():
    code = (
        "import sys; from gridstudy.fashion.network import MLP; from gridstudy.fashion.optimizers import OPTIMIZERS\n"
        "for make in OPTIMIZERS.values(): make(MLP((4,)).parameters(), lr=0.1).step()\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
