"""Where the data comes from, what is refused, and what is downloaded."""

import gzip
import hashlib
import http.server
import os
import pickle
import socket
import threading

import numpy as np
import pytest
import torch

from gridstudy.fashion import sources
from gridstudy.fashion.data import prepare
from gridstudy.fashion.sources import NoNetwork
from tests.fashion_mnist import idx_bytes, read_tiny, refusal, silent, write_pt

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = sources.IDX_FILES

pytestmark = pytest.mark.usefixtures("isolated")


# --- which source --------------------------------------------------------------------------------------------------


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
    write_pt(sources._mads_file(), read_tiny(tiny))
    assert prepare("auto", warn=silent).dataset == "fashion-mnist"


@pytest.fixture
def garments_are_small(monkeypatch):
    monkeypatch.setattr(sources, "GARMENTS_SIZES", {"garments": (120, 20), "garments-small": (60, 20)})


def test_auto_without_a_network_warns_and_draws_garments(garments_are_small):
    sources._mads_file().parent.mkdir(parents=True)  # what a failed download of mads-datasets leaves
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


# --- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "FashionMNIST/raw"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_idx_files_are_read_in_every_layout(tiny, tmp_path, place, gzipped):
    folder = tmp_path / "layout" / place
    folder.mkdir(parents=True)
    for idx in sources.IDX_FILES:
        content = (tiny / idx.name).read_bytes()
        (folder / (idx.name + ".gz" * gzipped)).write_bytes(gzip.compress(content) if gzipped else content)
    prepared = prepare("fashion-mnist", data_dir=tmp_path / "layout", warn=silent)
    assert prepared.dataset_fingerprint == sources.FASHION_MNIST_FINGERPRINT


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
        ({"testdata": torch.full((20, 28, 28), float("nan"))}, "whole numbers"),
        ({"testdata": torch.full((20, 28, 28), float("inf"))}, "whole numbers"),
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
    path = sources._mads_file()
    write_pt(path, read_tiny(tiny))
    path.write_bytes(spoil(path.read_bytes()))
    assert f"{path} cannot be read" in refusal("auto")


# --- download ------------------------------------------------------------------------------------------------------


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
    target = sources._mads_file()
    body = os.urandom(600_000)
    sources._download(serve(body), target, md5=hashlib.md5(body).hexdigest())
    assert target.read_bytes() == body
    assert left_behind(target) == ["fashionmnist", "fashionmnist.pt"]


def test_auto_downloads_what_mads_datasets_would(serve, tiny, tmp_path, monkeypatch):
    write_pt(tmp_path / "served.pt", read_tiny(tiny))
    body = (tmp_path / "served.pt").read_bytes()
    monkeypatch.setattr(sources, "MADS_URL", serve(body))
    monkeypatch.setattr(sources, "MADS_MD5", hashlib.md5(body).hexdigest())
    said = []
    assert prepare("auto", warn=said.append).dataset == "fashion-mnist"
    assert "downloading" in said[0]
    assert sources._mads_file().read_bytes() == body


def test_a_wrong_or_truncated_download_is_an_error_and_leaves_nothing(serve, monkeypatch):
    for url, told in ((serve(b"<html>"), "wrong file: MD5"), (serve(b"cut", length=100), "3 bytes, expected 100")):
        monkeypatch.setattr(sources, "MADS_URL", url)
        assert told in refusal("auto", warn=lambda message: None)
        assert left_behind(sources._mads_file()) == []


def test_an_error_page_counts_as_no_network(serve):
    with pytest.raises(NoNetwork, match="Forbidden"):
        sources._download(serve(b"", status=403), sources._mads_file(), md5="")


def test_a_server_that_never_answers_counts_as_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        with pytest.raises(NoNetwork):
            sources._download(url, sources._mads_file(), md5="", silence_s=0.2)
    assert left_behind(sources._mads_file()) == []


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
            sources._download(url, sources._mads_file(), md5="", **limits)
        done.set()
        thread.join()
    assert left_behind(sources._mads_file()) == []
