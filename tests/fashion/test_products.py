from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from gridstudy.core.errors import StudyError
from gridstudy.core.machine import (
    CPU_VARIABLES,
    Processor,
    parse_cpuinfo,
    parse_platform,
    processor,
    relevant_environment,
)
from gridstudy.core.selection import select_experiments
from gridstudy.core.subject import Data
from gridstudy.core.trial import DataIdentity, TrialConfig
from gridstudy.fashion.data import Split
from gridstudy.fashion.experiments import GROUPS
from gridstudy.fashion.gradients import CrossEntropyGradients
from gridstudy.fashion.network import MLP
from gridstudy.fashion.products import (
    MEASURED,
    PRODUCTS_VARIABLE,
    OneDNNProducts,
    TorchProducts,
    choose_products,
    describe_products,
    find_row,
    select_products,
)
from gridstudy.fashion.space import layer_widths
from gridstudy.fashion.subject import SUBJECT
from gridstudy.fashion.training import evaluate, scale_pixels
from gridstudy.running.subjects import SubjectSource
from gridstudy.running.trials import train_trials

TOLERANCE = 1e-5
"""Largest difference between two float32 gradients or logits, as a share of the largest value of the tensor."""

SOURCE = SubjectSource(module="gridstudy.fashion.subject")
ZEN_5 = Processor("AuthenticAMD", "26", "AMD EPYC 9B45", ("avx2", "fma", "avx512f"))
ZEN_4 = Processor("AuthenticAMD", "25", "AMD EPYC 9B14", ("avx2", "fma", "avx512f"))
ZEN_3 = Processor("AuthenticAMD", "25", "AMD EPYC 7B13", ("avx2", "fma"))
XEON = Processor("GenuineIntel", "6", "Intel(R) Xeon(R) Processor", ("avx2", "fma", "avx512f"))
GRAVITON = Processor("0x41", "8", "0xd40", ("asimd", "sve"))


def linear_pointwise():
    return torch.ops.mkldnn._linear_pointwise.default


def has_onednn():
    try:
        linear_pointwise()(torch.ones(2, 3), torch.ones(4, 3), None, "none", [], "")
    except (AttributeError, RuntimeError):
        return False
    return True


needs_onednn = pytest.mark.skipif(not has_onednn(), reason="this build of torch has no oneDNN")


def shapes_of_the_study():
    experiments = select_experiments(SUBJECT, [*GROUPS["all"], *GROUPS["follow-up"]])
    return sorted({(c["batch_size"], layer_widths(c)) for experiment in experiments for c in experiment.configurations})


@pytest.fixture
def one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def is_close(tensor, expected):
    return bool((tensor - expected).abs().max() <= TOLERANCE * expected.abs().max())


def onednn():
    return OneDNNProducts("onednn", 0, linear_pointwise=linear_pointwise())


def make_batch(batch_size):
    return torch.rand(batch_size, 784), torch.randint(0, 10, (batch_size,))


def loss_and_gradients(model, batch, products):
    loss = CrossEntropyGradients(model, products)(*batch)
    return [loss, *(p.grad.clone() for p in model.parameters())]


@needs_onednn
@pytest.mark.parametrize(("batch_size", "units"), shapes_of_the_study())
def test_gradients_through_onednn_are_those_of_autograd_and_always_the_same_bits(batch_size, units, one_thread):
    torch.manual_seed(0)
    model, batch = MLP(units), make_batch(batch_size)
    first, second = (loss_and_gradients(model, batch, onednn()) for _ in range(2))
    assert all(map(torch.equal, first, second))
    model.zero_grad(set_to_none=False)
    loss = torch.nn.functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    assert all(map(is_close, first, [loss.detach(), *(p.grad for p in model.parameters())]))


@needs_onednn
@pytest.mark.parametrize("units", sorted({units for _, units in shapes_of_the_study()}))
def test_evaluation_through_onednn_is_that_of_forward_and_always_the_same_bits(units, one_thread):
    torch.manual_seed(0)
    model, images = MLP(units), torch.rand(1000, 784)
    logits = model.logits(images, onednn())
    assert is_close(logits, model(images).detach())
    assert torch.equal(logits, model.logits(images, onednn()))


@pytest.mark.parametrize("units", sorted({units for _, units in shapes_of_the_study()}))
def test_evaluation_through_torch_is_that_of_forward_to_the_last_bit(units, one_thread):
    torch.manual_seed(0)
    model, images = MLP(units), torch.rand(1000, 784)
    assert torch.equal(model.logits(images, TorchProducts()), model(images).detach())


@needs_onednn
def test_a_split_is_scored_by_the_products_that_are_given(one_thread):
    torch.manual_seed(0)
    model, loss_fn = MLP((256, 256)), torch.nn.CrossEntropyLoss()
    split = Split(torch.randint(0, 256, (2000, 784), dtype=torch.uint8), torch.randint(0, 10, (2000,)))
    evaluation = evaluate(model, loss_fn, split, products=onednn())
    logits = model(scale_pixels(split.images)).detach()
    assert evaluation.loss == pytest.approx(loss_fn(logits, split.labels).item(), rel=TOLERANCE)
    assert evaluation.accuracy == pytest.approx((logits.argmax(1) == split.labels).double().mean().item(), abs=1e-3)
    assert evaluation.loss != evaluate(model, loss_fn, split, products=TorchProducts()).loss


@needs_onednn
def test_not_a_number_stays_one(one_thread):
    torch.manual_seed(0)
    model = MLP((256, 256))
    model.linear_layers()[0].weight.data[3] = float("nan")
    assert model.logits(torch.rand(64, 784), onednn()).isnan().all()


def counting(calls):
    def multiply(inputs, weight, bias, *rest):
        calls.append((bias is not None, *inputs.shape, len(weight)))
        return linear_pointwise()(inputs, weight, bias, *rest)

    return multiply


@needs_onednn
@pytest.mark.parametrize(
    ("batch_size", "units", "expected"),
    [
        (64, (256, 256), ["forward 784", "forward 256", "by weight 256", "by input 256", "by weight 784"]),
        (32, (256, 256), ["forward 784", "forward 256", "by weight 256", "by input 256", "by weight 784"]),
        (16, (256, 256), ["forward 784", "by weight 784"]),
        (4, (256, 256), []),
        (64, (16, 16), []),
    ],
)
def test_on_zen_5_the_large_products_of_an_update_go_through_onednn(batch_size, units, expected):
    calls = []
    products = select_products(ZEN_5, {}, find_linear_pointwise=lambda: counting(calls))
    calls.clear()
    CrossEntropyGradients(MLP(units), products)(*make_batch(batch_size))
    assert [name_call(*call) for call in calls] == expected


def name_call(has_bias, m, k, n):
    if has_bias:
        return f"forward {k}"
    return f"by input {k}" if m < 100 else f"by weight {n}"  # a product by weight has its outputs, 256, as rows


def never():
    raise AssertionError("oneDNN was looked for")


@pytest.mark.parametrize("kind", [ZEN_3, ZEN_4, XEON, GRAVITON, Processor("", "", "arm", ())])
def test_torch_multiplies_where_it_is_faster_and_where_nothing_was_measured(kind):
    assert select_products(kind, {}, find_linear_pointwise=never).name == "torch"


@needs_onednn
def test_onednn_multiplies_where_it_was_measured_to_be_faster():
    assert select_products(ZEN_5, {}, find_linear_pointwise=linear_pointwise).name == "onednn (AMD Zen 5)"
    on_request = select_products(XEON, {PRODUCTS_VARIABLE: "onednn"}, find_linear_pointwise=linear_pointwise)
    assert on_request.name == "onednn (GRIDSTUDY_PRODUCTS)"


@pytest.mark.parametrize("variable", CPU_VARIABLES)
def test_a_variable_that_changes_the_instructions_leaves_torch_alone(variable):
    assert select_products(ZEN_5, {variable: "AVX2"}, find_linear_pointwise=never).name == "torch"


def test_torch_on_request():
    assert select_products(ZEN_5, {PRODUCTS_VARIABLE: "torch"}, find_linear_pointwise=never).name == "torch"


def test_an_unknown_request_is_refused():
    with pytest.raises(StudyError, match="unknown GRIDSTUDY_PRODUCTS 'mkl'; choose from auto, torch, onednn"):
        select_products(XEON, {PRODUCTS_VARIABLE: "mkl"}, find_linear_pointwise=never)


def raising(error):
    def find():
        raise error

    return find


def test_without_onednn_torch_multiplies_and_the_name_says_why():
    error = AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'\nand more")
    products = select_products(ZEN_5, {}, find_linear_pointwise=raising(error))
    assert isinstance(products, TorchProducts)
    assert products.name == f"torch (oneDNN refused: {str(error).splitlines()[0]})"
    assert (
        select_products(ZEN_5, {}, find_linear_pointwise=raising(OSError())).name == "torch (oneDNN refused: OSError)"
    )


def in_bfloat16(inputs, weight, bias, *rest):
    product = (inputs.bfloat16() @ weight.t().bfloat16()).float()
    return product if bias is None else product + bias


def in_tf32(inputs, weight, bias, *rest):
    rounded = [(tensor.view(torch.int32) & ~0x1FFF).view(torch.float32) for tensor in (inputs, weight.contiguous())]
    product = rounded[0] @ rounded[1].t()
    return product if bias is None else product + bias


def without_bias(inputs, weight, bias, *rest):
    return inputs @ weight.t()


def not_a_number(inputs, weight, bias, *rest):
    return torch.full((len(inputs), len(weight)), float("nan"))


@pytest.mark.parametrize("wrong", [in_bfloat16, in_tf32, without_bias, not_a_number])
def test_products_that_differ_beyond_rounding_are_not_used(wrong):
    products = select_products(ZEN_5, {}, find_linear_pointwise=lambda: wrong)
    assert isinstance(products, TorchProducts)
    assert "its product forward differs from torch's" in products.name


def wrong_by_weight(inputs, weight, bias, *rest):
    product = inputs @ weight.t() + (0 if bias is None else bias)
    return product if inputs.is_contiguous() else product.roll(1)


def test_every_kind_of_product_is_compared():
    products = select_products(ZEN_5, {}, find_linear_pointwise=lambda: wrong_by_weight)
    assert "its product by weight differs from torch's" in products.name


@needs_onednn
def test_the_comparison_leaves_the_random_numbers_of_the_trial_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    select_products(ZEN_5, {}, find_linear_pointwise=linear_pointwise)
    assert torch.equal(torch.rand(3), expected)


def test_other_devices_use_torch():
    assert describe_products("cuda") == "torch"
    assert isinstance(choose_products(torch.device("mps")), TorchProducts)


def test_the_rows_are_of_different_processors_and_say_what_was_measured():
    assert len({(row.vendor, row.family, row.has_avx512) for row in MEASURED}) == len(MEASURED)
    assert all("GFLOP/s" in row.measured for row in MEASURED)
    assert [getattr(find_row(kind), "name", None) for kind in (ZEN_5, ZEN_3, XEON, ZEN_4, GRAVITON)] == [
        "AMD Zen 5",
        "AMD Zen 3",
        "Intel, AVX-512",
        None,
        None,
    ]


AMD_CPUINFO = """\
processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 26
model\t\t: 2
model name\t: AMD EPYC 9B45: 128-Core
flags\t\t: fpu fma sse4_2 avx avx2 avx512f avx512bw

processor\t: 1
vendor_id\t: Other
"""
ARM_CPUINFO = """\
processor\t: 0
Features\t: fp asimd sve
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd40
"""


def test_processors_are_read_as_linux_and_windows_describe_them():
    sets = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw")
    assert parse_cpuinfo(AMD_CPUINFO) == Processor("AuthenticAMD", "26", "AMD EPYC 9B45: 128-Core", sets)
    assert parse_cpuinfo(ARM_CPUINFO) == GRAVITON
    text = "AMD64 Family 26 Model 68 Stepping 0, AuthenticAMD"
    assert parse_platform(text) == Processor("AuthenticAMD", "26", text, ())
    assert parse_platform("arm") == Processor("", "", "arm", ())


def test_this_processor_has_a_name():
    assert processor().model_name


def test_variables_that_are_set_are_listed():
    assert relevant_environment({"MKL_CBWR": "COMPATIBLE", "PATH": "/bin", "ONEDNN_MAX_CPU_ISA": ""}) == {
        "MKL_CBWR": "COMPATIBLE"
    }
    assert relevant_environment() == {name: os.environ[name] for name in CPU_VARIABLES if os.environ.get(name)}


def describe_in_a_new_process(**environment):
    code = (
        "import json; from gridstudy.core.machine import *; from gridstudy.fashion.products import *;"
        "print(json.dumps([processor().instruction_sets, describe_products(), relevant_environment()]))"
    )
    kept = {name: value for name, value in os.environ.items() if name not in (*CPU_VARIABLES, PRODUCTS_VARIABLE)}
    run = subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


@needs_onednn
def test_the_environment_decides_in_a_new_process_and_the_processor_stays_itself():
    sets, name, environment = describe_in_a_new_process(ATEN_CPU_CAPABILITY="default")
    assert (tuple(sets), name, environment) == (
        processor().instruction_sets,
        "torch",
        {"ATEN_CPU_CAPABILITY": "default"},
    )
    assert describe_in_a_new_process(**{PRODUCTS_VARIABLE: "onednn"})[1] == "onednn (GRIDSTUDY_PRODUCTS)"


def outcome_in_worker(prepared, folder, seed):
    """Train with the products that the environment asks for; return their name and the outcome."""
    values = {"epochs": 2, "train_steps": 20, "batch_size": 64}
    identity = DataIdentity(**prepared.identity)
    trial = TrialConfig(SUBJECT.name, SUBJECT.configure(values), seed, identity)
    folder.mkdir(parents=True)
    ((result, _),) = train_trials(
        (trial,),
        (folder,),
        source=SubjectSource(module="gridstudy.fashion.subject"),
        data=Data(prepared, identity),
        device="cpu",
        attempt=1,
    )
    return describe_products(), result


def outcomes(prepared, folder, *, n_workers):
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(outcome_in_worker, prepared, folder / f"{seed}", seed) for seed in range(2)]
        return [job.result() for job in jobs]


@pytest.mark.slow
@needs_onednn
def test_trials_through_onednn_give_the_same_bits_in_one_worker_and_in_two(small_data, tmp_path, monkeypatch):
    for variable in CPU_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(PRODUCTS_VARIABLE, "onednn")
    one = outcomes(small_data, tmp_path / "one", n_workers=1)
    assert outcomes(small_data, tmp_path / "two", n_workers=2) == one
    assert {name for name, _ in one} == {"onednn (GRIDSTUDY_PRODUCTS)"}
    monkeypatch.setenv(PRODUCTS_VARIABLE, "torch")
    through_torch = outcomes(small_data, tmp_path / "torch", n_workers=1)
    assert {name for name, _ in through_torch} == {"torch"}
    assert all(a[1] != b[1] for a, b in zip(one, through_torch, strict=True))
    for (_, a), (_, b) in zip(one, through_torch, strict=True):
        assert a.curves["train_loss"] == pytest.approx(b.curves["train_loss"], rel=1e-4)
