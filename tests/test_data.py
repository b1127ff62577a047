"""Where the data comes from, what is refused, how it is split, kept and drawn."""

import gzip
import hashlib
import http.server
import json
import os
import pickle
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from gridstudy import data
from gridstudy.data import DataError, NoNetwork, hold_out, index_batches, open_splits, prepare

ROOT = Path(__file__).resolve().parents[1]
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = data.IDX_FILES
FROM_ENVIRONMENT = os.environ.get("FASHION_MNIST_DIR")
TINY = {"train": 60, "test": 20}


@pytest.fixture(autouse=True)
def isolated(monkeypatch, tmp_path):
    """No test sees the user's caches, data or network."""
    monkeypatch.setenv("GRIDSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FASHION_MNIST_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(data, "MADS_URL", "http://127.0.0.1:9/fashionmnist.pt")


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A folder of four good IDX files of 60 and 20 images, which pass for Fashion-MNIST."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "idx"
    folder.mkdir()
    files, arrays = [], []
    for idx in data.IDX_FILES:
        n = TINY["train" if idx.name.startswith("train") else "test"]
        shape = (n, *idx.shape[1:])
        array = (rng.integers(0, 256, shape) if len(shape) == 3 else rng.permutation(n) % 10).astype(np.uint8)
        content = idx_bytes(array)
        (folder / idx.name).write_bytes(content)
        files.append(data.IdxFile(idx.name, shape, hashlib.md5(content).hexdigest()))
        arrays.append(array)
    monkeypatch.setattr(data, "IDX_FILES", tuple(files))
    monkeypatch.setattr(data, "FASHION_MNIST_FINGERPRINT", data._dataset_fingerprint(data.Official(*arrays)))
    return folder


def idx_bytes(array, *, magic=None, shape=None):
    magic = 0x800 + array.ndim if magic is None else magic
    return b"".join(number.to_bytes(4, "big") for number in (magic, *(shape or array.shape))) + array.tobytes()


def read_tiny(folder):
    return data._read_idx_files({idx: folder / idx.name for idx in data.IDX_FILES})


def write_pt(path, official, **changes):
    names = ("traindata", "trainlabels", "testdata", "testlabels")
    tensors = dict(zip(names, (torch.from_numpy(array.copy()) for array in official), strict=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**tensors, **changes}, path)


def silent(message):
    raise AssertionError(f"unexpected warning: {message}")


def small(**options):
    return prepare("garments-small", warn=options.pop("warn", silent), **options)


def refusal(*args, **options):
    """The one line with which the data is refused; nothing must have been cached."""
    with pytest.raises(DataError) as caught:
        prepare(*args, warn=options.pop("warn", silent), **options)
    line = str(caught.value)
    assert line
    assert "\n" not in line
    assert cached() == []
    return line


def cached():
    """The names in the cache, but for the lock."""
    cache = Path(os.environ["GRIDSTUDY_CACHE"])
    return sorted(path.name for path in cache.iterdir() if path.name != ".lock") if cache.is_dir() else []


# Splits


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
    official = data.Official(*data.draw_garments(6_000, 1_000))
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


# Batches


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


# Sources


def test_auto_takes_the_folder_given_before_the_environment(tiny, monkeypatch):
    monkeypatch.setenv("FASHION_MNIST_DIR", "/nowhere")
    prepared = prepare("auto", data_dir=tiny, warn=silent)
    assert prepared.dataset == "fashion-mnist"
    assert str(tiny) in prepared.origin


def test_auto_takes_the_environment(tiny, monkeypatch):
    monkeypatch.setenv("FASHION_MNIST_DIR", str(tiny))
    assert prepare("auto", warn=silent).n_train == 50


def test_a_broken_environment_is_an_error(monkeypatch):
    monkeypatch.setenv("FASHION_MNIST_DIR", "/nowhere")
    assert "/nowhere" in refusal("auto")


def test_auto_takes_the_cache_of_mads_datasets(tiny):
    write_pt(data._mads_file(), read_tiny(tiny))
    assert prepare("auto", warn=silent).dataset == "fashion-mnist"


@pytest.fixture
def garments_are_small(monkeypatch):
    monkeypatch.setattr(data, "GARMENTS_SIZES", {"garments": (120, 20), "garments-small": (60, 20)})


def test_auto_without_a_network_warns_and_draws_garments(garments_are_small):
    data._mads_file().parent.mkdir(parents=True)  # what a failed download of mads-datasets leaves
    warnings = []
    assert prepare("auto", warn=warnings.append).dataset == "garments"
    assert "NOT FASHION-MNIST" in warnings[0]
    assert len(warnings) == 1


def test_fashion_mnist_without_a_network_says_what_to_do():
    assert "--data-dir" in refusal("fashion-mnist")


def test_auto_keeps_to_the_dataset_of_the_records(garments_are_small, tiny, monkeypatch):
    assert prepare("auto", recorded="garments", warn=silent).dataset == "garments"
    monkeypatch.setenv("GRIDSTUDY_CACHE", str(tiny.parent / "another"))
    assert "no network" in refusal("auto", recorded="fashion-mnist")
    assert str(tiny) in refusal("auto", recorded="garments", data_dir=tiny)
    assert prepare("auto", recorded="fashion-mnist", data_dir=tiny, warn=silent).dataset == "fashion-mnist"


@pytest.mark.parametrize(
    "options", [{"dataset": "mnist"}, {"validation": "train"}, {"recorded": "cifar"}, {"dataset": ""}]
)
def test_unknown_names_are_refused(options):
    assert "must be one of" in refusal(**options)


# Reading


@pytest.mark.parametrize("place", ["", "FashionMNIST/raw"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_idx_files_are_read_in_every_layout(tiny, tmp_path, place, gzipped):
    folder = tmp_path / "layout" / place
    folder.mkdir(parents=True)
    for idx in data.IDX_FILES:
        content = (tiny / idx.name).read_bytes()
        (folder / (idx.name + ".gz" * gzipped)).write_bytes(gzip.compress(content) if gzipped else content)
    prepared = prepare("fashion-mnist", data_dir=tmp_path / "layout", warn=silent)
    assert prepared.dataset_fingerprint == data.FASHION_MNIST_FINGERPRINT


@pytest.mark.parametrize("place", ["fashionmnist.pt", "fashionmnist/fashionmnist.pt"])
def test_the_file_of_mads_datasets_gives_the_same_split(tiny, tmp_path, place):
    official = read_tiny(tiny)
    labels = torch.from_numpy(official.train_labels.astype(np.int64))
    write_pt(tmp_path / "mads" / place, official, trainlabels=labels)
    one = prepare("fashion-mnist", data_dir=tmp_path / "mads", warn=silent)
    other = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    assert (one.split_fingerprint, one.folder) == (other.split_fingerprint, other.folder)


def fault_magic(content):
    return (0x0D03).to_bytes(4, "big") + content[4:]


def fault_number(content):
    return content[:4] + (61).to_bytes(4, "big") + content[8:]


def fault_bit(content):
    return content[:-1] + bytes([content[-1] ^ 1])


FAULTS = {
    "magic": (fault_magic, "magic number 3331, expected 2"),
    "number": (fault_number, "dimensions 61"),
    "truncated": (lambda content: content[:-1], "only"),
    "no header": (lambda content: content[:5], "header"),
    "empty": (lambda content: b"", "header"),
    "too long": (lambda content: content + b"\0", "more than"),
    "another image": (fault_bit, "not Fashion-MNIST: MD5"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("idx", [TRAIN_IMAGES.name, TRAIN_LABELS.name, TEST_IMAGES.name, TEST_LABELS.name])
def test_faults_of_idx_files_get_one_line_naming_the_file(tiny, fault, gzipped, idx):
    spoil, told = FAULTS[fault]
    path = tiny / idx
    content = spoil(path.read_bytes())
    path.unlink()
    path = tiny / (idx + ".gz" * gzipped)
    path.write_bytes(gzip.compress(content) if gzipped else content)
    line = refusal("fashion-mnist", data_dir=tiny)
    assert str(path) in line
    assert told in line


@pytest.mark.parametrize("spoil", [lambda content: content[:-9], lambda content: b"\0" * 50, fault_bit])
def test_faults_of_gzip_get_one_line_naming_the_file(tiny, spoil):
    path = tiny / f"{TRAIN_LABELS.name}.gz"
    path.write_bytes(spoil(gzip.compress((tiny / TRAIN_LABELS.name).read_bytes())))
    (tiny / TRAIN_LABELS.name).unlink()
    assert f"{path} cannot be read" in refusal("fashion-mnist", data_dir=tiny)


def test_labels_out_of_range_are_refused(tiny):
    content = (tiny / TEST_LABELS.name).read_bytes()
    (tiny / TEST_LABELS.name).write_bytes(content[:-1] + b"\x0a")
    assert "label 10, expected 0 to 9" in refusal("fashion-mnist", data_dir=tiny)


def test_fewer_labels_than_images_are_refused(tiny):
    (tiny / TRAIN_LABELS.name).write_bytes(idx_bytes(np.zeros(59, dtype=np.uint8)))
    assert "dimensions 59, expected 60" in refusal("fashion-mnist", data_dir=tiny)


def test_a_missing_file_is_named(tiny):
    (tiny / TEST_LABELS.name).unlink()
    (tiny / TEST_LABELS.name).mkdir()
    assert f"{TEST_LABELS.name} missing" in refusal("fashion-mnist", data_dir=tiny)


def test_folders_that_cannot_hold_data_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert "holds no Fashion-MNIST" in refusal("auto", data_dir=tmp_path / "empty")
    assert "is a file" in refusal("auto", data_dir=tmp_path / "file")
    assert "is nothing" in refusal("auto", data_dir=tmp_path / "none")
    assert refusal("auto", data_dir=tmp_path / ("long" * 100))
    assert "leave one of the two out" in refusal("garments", data_dir=tmp_path)


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_a_pickle_that_runs_code_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pt").mkdir()
    for save in (torch.save, lambda bomb, path: path.write_bytes(pickle.dumps(bomb))):
        save(Bomb(), tmp_path / "pt" / "fashionmnist.pt")
        assert "fashionmnist.pt cannot be read" in refusal("auto", data_dir=tmp_path / "pt")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"traindata": None}, "must hold a tensor 'traindata'"),
        ({"testlabels": torch.zeros(19, dtype=torch.uint8)}, "dimensions 19, expected 20"),
        ({"testlabels": torch.full((20,), 11)}, "label 11"),
        ({"testlabels": torch.full((20,), -1)}, "whole numbers"),
        ({"testdata": torch.full((20, 28, 28), 0.5)}, "whole numbers"),
        ({"testdata": torch.zeros(20, 28, 28, dtype=torch.uint8)}, "not Fashion-MNIST: SHA-256"),
    ],
)
def test_faults_of_tensors_get_one_line(tiny, tmp_path, changes, told):
    path = tmp_path / "pt" / "fashionmnist.pt"
    write_pt(path, read_tiny(tiny), **changes)
    line = refusal("auto", data_dir=tmp_path / "pt")
    assert str(path) in line
    assert told in line


@pytest.mark.parametrize("spoil", [lambda content: content[:1_000], lambda content: b"", lambda content: b"<html>"])
def test_damaged_files_of_mads_datasets_are_refused(tiny, spoil):
    path = data._mads_file()
    write_pt(path, read_tiny(tiny))
    path.write_bytes(spoil(path.read_bytes()))
    assert f"{path} cannot be read" in refusal("auto")


# Download


@pytest.fixture
def serve():
    """Start a server on the loopback that sends `body`, and claims a length; returns its URL."""
    servers = []

    def start(body, length=None, status=200):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(length or len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/fashionmnist.pt"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def left_behind(target):
    return sorted(path.name for path in target.parent.parent.rglob("*")) if target.parent.parent.exists() else []


def test_a_download_is_checked_and_moved_into_place(serve):
    target = data._mads_file()
    body = os.urandom(600_000)
    data._download(serve(body), target, md5=hashlib.md5(body).hexdigest())
    assert target.read_bytes() == body
    assert left_behind(target) == ["fashionmnist", "fashionmnist.pt"]


def test_auto_downloads_what_mads_datasets_would(serve, tiny, tmp_path, monkeypatch):
    write_pt(tmp_path / "served.pt", read_tiny(tiny))
    body = (tmp_path / "served.pt").read_bytes()
    monkeypatch.setattr(data, "MADS_URL", serve(body))
    monkeypatch.setattr(data, "MADS_MD5", hashlib.md5(body).hexdigest())
    said = []
    assert prepare("auto", warn=said.append).dataset == "fashion-mnist"
    assert "downloading" in said[0]
    assert data._mads_file().read_bytes() == body


def test_a_wrong_or_truncated_download_is_an_error_and_leaves_nothing(serve, monkeypatch):
    for url, told in ((serve(b"<html>"), "wrong file: MD5"), (serve(b"cut", length=100), "3 bytes, expected 100")):
        monkeypatch.setattr(data, "MADS_URL", url)
        assert told in refusal("auto", warn=lambda message: None)
        assert left_behind(data._mads_file()) == []


def test_an_error_page_counts_as_no_network(serve):
    with pytest.raises(NoNetwork, match="Forbidden"):
        data._download(serve(b"", status=403), data._mads_file(), md5="")


def test_a_server_that_never_answers_counts_as_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(NoNetwork):
            data._download(url, data._mads_file(), md5="", silence_s=0.2)
    assert left_behind(data._mads_file()) == []


@pytest.mark.parametrize(("limits", "told"), [({"silence_s": 0.2}, "broke off"), ({"limit_s": 0.2}, "took too long")])
def test_a_download_that_stalls_or_drips_ends_in_time(limits, told):
    def drip(server):
        connection, _ = server.accept()
        with connection:
            connection.recv(1_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            done.wait(0 if "limit_s" in limits else 5)
            while not done.wait(0.05):
                connection.sendall(b".")

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(NoNetwork, match=told):
            data._download(url, data._mads_file(), md5="", **limits)
        done.set()
        thread.join()
    assert left_behind(data._mads_file()) == []


# Cache


def test_a_second_start_reads_the_cache_alone(monkeypatch, tiny):
    first = prepare("fashion-mnist", data_dir=tiny, warn=silent)
    monkeypatch.setattr(data, "_read_idx_files", lambda paths: pytest.fail("read again"))
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


# The real data


def test_the_real_files_are_fashion_mnist_split_as_ever(tmp_path):
    folders = (FROM_ENVIRONMENT, ROOT.parent / "shared" / "fashion-mnist")
    folder = next((Path(folder) for folder in folders if folder and Path(folder).is_dir()), None)
    if folder is None:
        pytest.skip("no real data here")
    prepared = prepare("fashion-mnist", data_dir=folder, cache_dir=tmp_path / "real", warn=silent)
    assert prepared.dataset_fingerprint == data.FASHION_MNIST_FINGERPRINT
    assert prepared.split_fingerprint == "68028c187b9f"
    splits = open_splits(prepared)
    assert splits.train.labels.bincount().tolist() == [5_000] * 10
    assert splits.validation.labels.bincount().tolist() == [1_000] * 10
    pixels = torch.cat([splits.train.images, splits.validation.images]).to(torch.float32) / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
