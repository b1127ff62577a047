"""How the data is split, kept and drawn."""

import hashlib
import json
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from gridstudy.fashion import sources
from gridstudy.fashion.data import hold_out, index_batches, open_splits, prepare
from gridstudy.fashion.garments import draw_garments
from gridstudy.fashion.sources import DataError
from tests.fashion_mnist import cached, silent, small

ROOT = Path(__file__).resolve().parents[2]
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
    monkeypatch.setattr(sources, "_read_idx_files", lambda paths: pytest.fail("read again"))
    assert prepare("fashion-mnist", data_dir=tiny, warn=silent) == first


def test_a_source_that_changed_is_read_again(tiny):
    prepare("fashion-mnist", data_dir=tiny, warn=silent)
    path = tiny / TRAIN_LABELS.name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="only"):
        prepare("fashion-mnist", data_dir=tiny, warn=silent)


def empty(path):
    path.write_bytes(b"")


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def become_folder(path):
    path.unlink()
    path.mkdir()


NAMES = ["manifest.json", "train_images.npy", "train_labels.npy", "validation_images.npy", "test_labels.npy"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [Path.unlink, empty, flip, become_folder])
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
