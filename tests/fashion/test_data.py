"""How the data is split, kept and drawn."""

import hashlib
import json
import os
import pickle
import shutil
import stat
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gridstudy.core.errors import StudyError
from gridstudy.fashion import sources
from gridstudy.fashion.data import check_unchanged, hold_out, index_batches, open_splits, prepare
from gridstudy.fashion.garments import draw_garments
from gridstudy.fashion.sources import DataError
from gridstudy.fashion.storage import temporary_home
from tests.fashion_mnist import cached, ignore, read_tiny, silent, small, write_pt

ROOT = Path(__file__).resolve().parents[2]
NAMELESS = 12_345
"""The number of a user that has no name here."""
TRAIN_LABELS = sources.IDX_FILES[1]
FROM_ENVIRONMENT = os.environ.get("FASHION_MNIST_DIR")

pytestmark = pytest.mark.usefixtures("isolated")


# --- splits --------------------------------------------------------------------------------------------------------


def test_holdout_is_stratified_disjoint_and_covers_everything():
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(10, dtype=np.uint8), 6_000))
    train, validation = hold_out(labels)
    assert np.bincount(labels[train]).tolist() == [5_000] * 10
    assert np.bincount(labels[validation]).tolist() == [1_000] * 10
    assert np.array_equal(np.sort(np.concatenate([train, validation])), np.arange(60_000))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()


def test_holdout_depends_on_labels_and_the_constant_seed_alone():
    labels = (np.arange(60_000) % 10).astype(np.uint8)
    before = hold_out(labels)
    np.random.seed(5)
    torch.manual_seed(5)
    assert all(np.array_equal(a, b) for a, b in zip(before, hold_out(labels), strict=True))
    assert hashlib.sha256(before[1].astype("<i8").tobytes()).hexdigest()[:12] == "60d24c9e4826"
    assert not np.array_equal(before[1], hold_out(labels, seed=1)[1])


def test_cached_holdout_holds_every_official_training_image_once():
    splits = open_splits(small())
    official = sources.Official(*draw_garments(6_000, 1_000))
    train, validation = hold_out(official.train_labels)
    images = official.train_images.reshape(6_000, 784)
    assert np.array_equal(splits.train.images.numpy(), images[train])
    assert np.array_equal(splits.validation.images.numpy(), images[validation])
    assert np.array_equal(splits.validation.labels.numpy(), official.train_labels[validation])
    assert np.array_equal(splits.test.images.numpy(), official.test_images.reshape(1_000, 784))
    assert splits.validation.labels.bincount().tolist() == [100] * 10


def test_validation_on_test_trains_on_everything():
    prepared = small(validation="test")
    splits = open_splits(prepared)
    assert (prepared.n_train, prepared.n_validation, prepared.n_test) == (6_000, 1_000, 1_000)
    assert torch.equal(splits.validation.images, splits.test.images)
    assert prepared.split_fingerprint != small().split_fingerprint
    assert prepared.dataset_fingerprint == small().dataset_fingerprint


def test_opened_splits_are_mapped_bytes_and_whole_numbers():
    prepared = small()
    splits = open_splits(prepared)
    assert splits.train.images.dtype == torch.uint8
    assert splits.train.labels.dtype == torch.int64
    assert splits.train.images.shape == (prepared.n_train, 784)
    assert len(pickle.dumps(prepared)) < 1_000
    splits.train.images[0] = 7
    assert not torch.equal(open_splits(prepared).train.images[0], splits.train.images[0])


# --- batches -------------------------------------------------------------------------------------------------------


def test_batches_are_one_permutation_after_another_without_the_remainder():
    batches = index_batches(10, batch_size=3, generator=torch.Generator().manual_seed(3))
    drawn = torch.cat([next(batches) for _ in range(6)])
    generator = torch.Generator().manual_seed(3)
    expected = torch.cat([torch.randperm(10, generator=generator)[:9] for _ in range(2)])
    assert torch.equal(drawn, expected)


@pytest.mark.parametrize("batch_size", [0, -1, 11])
def test_impossible_batch_sizes_are_refused_at_once(batch_size):
    with pytest.raises(ValueError, match="batch_size"):
        index_batches(10, batch_size=batch_size, generator=torch.Generator())


# --- the cache -----------------------------------------------------------------------------------------------------


def test_a_second_start_reads_the_cache_alone(monkeypatch, tiny):
    first = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    monkeypatch.setattr(sources, "_read_idx_files", lambda *given: pytest.fail("read again"))
    assert prepare("fashion-mnist", data_dir=tiny, warn=silent) == first


def test_a_source_that_changed_is_read_again(tiny):
    prepare("fashion-mnist", data_dir=tiny, warn=silent)
    path = tiny / TRAIN_LABELS.name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="only"):
        prepare("fashion-mnist", data_dir=tiny, warn=silent)


def empty(path):
    path.chmod(0o644)
    path.write_bytes(b"")


def flip(path):
    """Change one bit in place, and leave no trace of it in the times."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def become_folder(path):
    path.unlink()
    path.mkdir()


def become_pipe(path):
    path.unlink()
    os.mkfifo(path)


DAMAGES = [Path.unlink, empty, flip, become_folder]
if hasattr(os, "mkfifo"):
    DAMAGES.append(become_pipe)
NAMES = ["manifest.json", "train_images.npy", "train_labels.npy", "validation_images.npy", "test_labels.npy"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_is_made_again(tiny, name, damage):
    prepared = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    before = (prepared.folder / name).read_bytes()
    damage(prepared.folder / name)
    warnings = []
    assert prepare("fashion-mnist", data_dir=tiny, warn=warnings.append) == prepared
    assert (prepared.folder / name).read_bytes() == before
    assert len(warnings) == 1
    assert cached() == [prepared.folder.name, "sources"]


def test_a_cache_of_nonsense_is_made_again(tiny):
    prepared = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    for content in ("[]", "{}", '{"files": 3, "seal": 1}', json.dumps({"seal": None, "files": {}})):
        (prepared.folder / "manifest.json").write_text(content)
        assert prepare("fashion-mnist", data_dir=tiny, warn=lambda message: None) == prepared
    for pointer in (prepared.folder.parent / "sources").iterdir():
        pointer.write_bytes(b"\xff\0nonsense")
    assert prepare("fashion-mnist", data_dir=tiny, warn=lambda message: None) == prepared


def test_a_cache_that_cannot_be_written_names_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="GRIDSTUDY_CACHE"):
        small(cache_dir=tmp_path / "file")

    def full(*args):
        raise OSError("300 requested and 100 written")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DataError, match="GRIDSTUDY_CACHE"):
        small()
    assert cached() == []


@pytest.mark.parametrize("damaged", [False, True])
def test_studies_that_prepare_at_once_agree(tiny, damaged):
    if damaged:
        flip(prepare("fashion-mnist", data_dir=tiny, warn=silent).folder / "train_images.npy")
    together = threading.Barrier(4)

    def start(_):
        together.wait()
        return prepare("fashion-mnist", data_dir=tiny, warn=lambda message: None)

    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(start, range(4)))
    assert len(set(prepared)) == 1
    assert cached() == [prepared[0].folder.name, "sources"]


# --- data that change under a running study ------------------------------------------------------------------------


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_process_that_opens_changed_data_refuses_them(tiny, damage):
    prepared = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    damage(prepared.folder / "validation_images.npy")
    with pytest.raises(DataError, match="changed while the study was running; rerun the same command"):
        open_splits(prepared)


def test_split_files_may_not_be_written(tiny):
    prepared = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o222 for path in prepared.folder.glob("*.npy")}
    assert modes == {0}


def zero(path):
    """Change a file in place, as a process with every right could; those who mapped it see it."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(200)
        file.write(bytes(100))


def replace_by_a_copy(path):
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


@pytest.mark.parametrize("change", [Path.unlink, empty, zero, become_folder, replace_by_a_copy])
def test_a_change_is_noticed_before_a_result_is_written(tiny, change):
    prepared = pickle.loads(pickle.dumps(prepare("fashion-mnist", data_dir=tiny, warn=silent)))
    splits = open_splits(prepared)
    check_unchanged(prepared)
    before = splits.train.images.clone()
    change(prepared.folder / "train_images.npy")
    if change is zero:
        assert not torch.equal(splits.train.images, before)  # mapped: what the check is for
    with pytest.raises(DataError, match="changed while the study was running"):
        check_unchanged(prepared)


def test_outcomes_of_two_checks_are_never_mixed(tiny):
    prepared = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    flip(prepared.folder / "test_labels.npy")
    again = prepare("fashion-mnist", data_dir=tiny, warn=ignore)
    assert again == prepared
    open_splits(again)
    check_unchanged(again)
    for check in (open_splits, check_unchanged):
        with pytest.raises(DataError, match="changed while"):
            check(prepared)


# --- shared machines -----------------------------------------------------------------------------------------------


@contextmanager
def somebody_else():
    """Root may read and write everything, so be a user without a name for a while."""
    if not hasattr(os, "setresuid") or os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    os.setresuid(NAMELESS, NAMELESS, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def anybodys(monkeypatch, tiny):
    """A folder that everybody may use, with data and a home in it; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="gridstudy-test-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for path in (folder, folder / "home", folder / "temporary"):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        shutil.copytree(tiny, folder / "idx")
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setenv("FASHION_MNIST_DIR", str(folder / "idx"))
        monkeypatch.setenv("GRIDSTUDY_CACHE", str(folder / "shared"))
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        yield folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize("mask", [0, 0o027, 0o077])
def test_the_rights_of_the_cache_follow_the_umask(tiny, mask):
    with umask(mask):
        prepared = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    for path in (prepared.folder.parent, *prepared.folder.parent.rglob("*")):
        full = 0o777 if path.is_dir() else 0o444 if path.suffix == ".npy" else 0o666
        assert oct(stat.S_IMODE(path.stat().st_mode)) == oct(full & ~mask), path.name


def test_another_user_reads_a_shared_cache(anybodys):
    with umask(0o022):
        prepared = prepare(warn=silent)
    with somebody_else():
        assert prepare(warn=silent).folder == prepared.folder


def test_a_split_that_may_not_be_read_is_left_alone_and_a_private_cache_is_used(anybodys):
    with umask(0o077):
        prepared = prepare(warn=silent)
    (anybodys / "shared").chmod(0o777)
    (anybodys / "shared" / "sources").chmod(0o755)
    next((anybodys / "shared" / "sources").iterdir()).chmod(0o644)
    warnings = []
    with somebody_else():
        own = prepare(warn=warnings.append)
    assert own == replace(prepared, folder=anybodys / "home" / ".cache" / "gridstudy" / prepared.folder.name)
    (line,) = warnings
    assert "\n" not in line
    assert f"cannot use {prepared.folder / 'manifest.json'}, which belongs to {Path('/').owner()}" in line
    assert line.endswith(f"using {anybodys / 'home' / '.cache' / 'gridstudy'} instead")
    assert prepare(warn=silent).states == prepared.states


def test_a_shared_cache_that_may_not_be_written_gives_way_to_a_private_one(anybodys):
    prepare("fashion-mnist", warn=silent)
    warnings = []
    with somebody_else(), umask(0o022):
        own = prepare(validation="test", warn=warnings.append)
    assert own.folder.parent == anybodys / "home" / ".cache" / "gridstudy"
    assert len(warnings) == 1


def test_without_a_home_the_cache_is_in_the_temporary_folder(anybodys, monkeypatch):
    prepare(warn=silent)  # imports what the other user may not read
    monkeypatch.delenv("GRIDSTUDY_CACHE")
    monkeypatch.delenv("HOME")
    warnings = []
    with somebody_else():
        own = prepare(warn=warnings.append)
        check_unchanged(own)
    (line,) = warnings
    assert line == f"this user has no home folder; caches are kept in {anybodys / 'temporary'}/gridstudy-{NAMELESS}"
    assert own.folder.is_relative_to(anybodys / "temporary" / f"gridstudy-{NAMELESS}")


def test_a_home_that_may_not_be_written_gives_way_to_the_temporary_folder(anybodys, monkeypatch):
    write_pt(anybodys / "fashionmnist.pt", read_tiny(anybodys / "idx"))
    monkeypatch.delenv("FASHION_MNIST_DIR")
    monkeypatch.delenv("GRIDSTUDY_CACHE")
    (anybodys / "home").chmod(0o755)

    def fetched(folder, **limits):
        write_pt(folder / "fashionmnist" / "fashionmnist.pt", read_tiny(anybodys / "idx"))

    monkeypatch.setattr(sources, "_fetch", fetched)  # a child of this user cannot start the Python of another
    warnings = []
    with somebody_else():
        own = prepare("fashion-mnist", warn=warnings.append)
        assert prepare("fashion-mnist", warn=ignore) == own
    assert own.folder.is_relative_to(anybodys / "temporary" / f"gridstudy-{NAMELESS}")
    assert ["instead" in line for line in warnings] == [True, False, True]


def test_a_temporary_folder_that_somebody_else_made_is_not_used(anybodys):
    (anybodys / "temporary" / f"gridstudy-{NAMELESS}").mkdir()
    with somebody_else():
        folder = temporary_home()
        assert folder.name != f"gridstudy-{NAMELESS}"
        assert folder.stat().st_uid == NAMELESS


def test_a_tilde_stands_for_the_home_folder(tiny, tmp_path, monkeypatch):
    shutil.copytree(tiny, tmp_path / "home" / "data")
    monkeypatch.setenv("GRIDSTUDY_CACHE", "~/c")
    monkeypatch.setenv("FASHION_MNIST_DIR", "~/data")
    assert prepare(warn=silent).folder.parent == tmp_path / "home" / "c"


@pytest.mark.parametrize("variable", ["GRIDSTUDY_CACHE", "FASHION_MNIST_DIR"])
def test_the_home_of_an_unknown_user_is_refused(tiny, variable, monkeypatch):
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tiny))
    monkeypatch.setenv(variable, "~nobody-of-this-name/c")
    with pytest.raises(StudyError, match=f"^{variable}: no home folder is known for '~nobody-of-this-name/c'"):
        prepare(warn=silent)


# --- the real data -------------------------------------------------------------------------------------------------


def test_the_real_files_are_fashion_mnist_split_as_ever(tmp_path):
    folders = (FROM_ENVIRONMENT, ROOT.parent / "shared" / "fashion-mnist")
    folder = next((Path(folder) for folder in folders if folder and Path(folder).is_dir()), None)
    if folder is None:
        pytest.skip("no real data here")
    prepared = prepare("fashion-mnist", data_dir=folder, cache_dir=tmp_path / "real", warn=silent)
    assert prepared.dataset_fingerprint == sources.FASHION_MNIST_FINGERPRINT
    assert prepared.split_fingerprint == "68028c187b9f"
    splits = open_splits(prepared)
    assert splits.train.labels.bincount().tolist() == [5_000] * 10
    assert splits.validation.labels.bincount().tolist() == [1_000] * 10
    pixels = torch.cat([splits.train.images, splits.validation.images]).to(torch.float32) / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
