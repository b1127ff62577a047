"""Where the data comes from, what is refused, and what is downloaded."""

import gzip
import hashlib
import http.server
import os
import pickle
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import pytest
import torch
from mads_datasets import DatasetFactoryProvider, DatasetType
from mads_datasets.settings import fashionmnistsettings

from gridstudy.fashion import sources
from gridstudy.fashion.data import prepare
from gridstudy.fashion.sources import DownloadFailed
from tests.fashion_mnist import idx_bytes, ignore, mads_file, read_tiny, refusal, silent, write_pt

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
    write_pt(mads_file(), read_tiny(tiny))
    assert prepare("auto", warn=silent).dataset == "fashion-mnist"


@pytest.fixture
def garments_are_small(monkeypatch):
    monkeypatch.setattr(sources, "GARMENTS_SIZES", {"garments": (120, 20), "garments-small": (60, 20)})


def test_auto_without_a_network_warns_and_draws_garments(garments_are_small):
    mads_file().parent.mkdir(parents=True)  # what a failed download of mads-datasets leaves
    warnings = []
    assert prepare("auto", warn=warnings.append).dataset == "garments"
    assert [("downloading" in line, "NOT FASHION-MNIST" in line) for line in warnings] == [(True, False), (False, True)]
    assert "127.0.0.1 cannot be reached" in warnings[1]


def test_fashion_mnist_without_a_network_says_what_to_do():
    assert "--data-dir" in refusal("fashion-mnist", warn=ignore)


def test_auto_keeps_to_the_dataset_of_the_records(garments_are_small, tiny, monkeypatch):
    assert prepare("auto", recorded="garments", warn=silent).dataset == "garments"
    monkeypatch.setenv("GRIDSTUDY_CACHE", str(tiny.parent / "another"))
    assert "the download failed" in refusal("auto", recorded="fashion-mnist", warn=ignore)
    assert str(tiny) in refusal("auto", recorded="garments", data_dir=tiny)
    assert prepare("auto", recorded="fashion-mnist", data_dir=tiny, warn=silent).dataset == "fashion-mnist"


@pytest.mark.parametrize(
    "options", [{"dataset": "mnist"}, {"validation": "train"}, {"recorded": "cifar"}, {"dataset": ""}]
)
def test_unknown_names_are_refused(options):
    assert "must be one of" in refusal(**options)


# --- reading -------------------------------------------------------------------------------------------------------


def zip_into(tiny, folder):
    for idx in sources.IDX_FILES:
        (folder / f"{idx.name}.gz").write_bytes(gzip.compress((tiny / idx.name).read_bytes()))


@pytest.mark.parametrize("given", ["root", "root/FashionMNIST", "root/FashionMNIST/raw"])
@pytest.mark.parametrize("gzipped", [False, True])
def test_idx_files_are_read_in_every_layout_of_torchvision(tiny, tmp_path, given, gzipped):
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    raw.parent.mkdir(parents=True)
    shutil.copytree(tiny, raw)
    if gzipped:
        zip_into(tiny, raw)
        for idx in sources.IDX_FILES:
            (raw / idx.name).unlink()
    prepared = prepare("fashion-mnist", data_dir=tmp_path / given, warn=silent)
    assert prepared.dataset_fingerprint == sources.FASHION_MNIST_FINGERPRINT


@pytest.mark.parametrize("idx", sources.IDX_FILES, ids=lambda idx: idx.name)
def test_a_damaged_file_is_named_and_the_good_one_beside_it_is_used(tiny, idx):
    zip_into(tiny, tiny)
    (tiny / idx.name).write_bytes((tiny / idx.name).read_bytes()[:-9])
    warnings = []
    prepared = prepare("fashion-mnist", data_dir=tiny, warn=warnings.append)
    assert prepared.dataset_fingerprint == sources.FASHION_MNIST_FINGERPRINT
    (line,) = warnings
    assert line.startswith(f"{tiny / idx.name} has only")
    assert line.endswith(f"using {tiny / idx.name}.gz instead")
    (tiny / f"{idx.name}.gz").write_bytes(b"")
    (tiny.parent / "cache").rename(tiny.parent / "old cache")
    assert f"{idx.name}.gz" in refusal("fashion-mnist", data_dir=tiny, warn=ignore)


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
    assert "is missing" in refusal("auto", data_dir=tmp_path / "none")
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
        ({"traindata": None}, "cannot be read as tensors"),
        ({"testlabels": torch.zeros(19, dtype=torch.uint8)}, "not Fashion-MNIST: SHA-256"),
        ({"testlabels": torch.full((20,), 11)}, "not Fashion-MNIST: SHA-256"),
        ({"testlabels": torch.full((20,), -1)}, "not Fashion-MNIST: SHA-256"),
        ({"testdata": torch.full((20, 28, 28), float("nan"))}, "not Fashion-MNIST: SHA-256"),
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
    path = mads_file()
    write_pt(path, read_tiny(tiny))
    path.write_bytes(spoil(path.read_bytes()))
    assert f"{path} cannot be read" in refusal("auto")


# --- download ------------------------------------------------------------------------------------------------------


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Start a server on the loopback, which mads-datasets then takes for its own; returns the port."""
    servers = []

    def start(body=b"", length=None, status=200, tls=False):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Length", str(length or len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_CONNECT = do_GET

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            server.socket = _own_certificate(tmp_path).wrap_socket(server.socket, server_side=True)
            server.handle_error = lambda *args: None  # the client ends the handshake
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        _point_to(monkeypatch, f"http{'s' * tls}://127.0.0.1:{server.server_port}", body)
        return server.server_port

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _point_to(monkeypatch, address, body=b""):
    monkeypatch.setattr(fashionmnistsettings, "dataset_url", f"{address}/fashionmnist.pt")
    monkeypatch.setattr(fashionmnistsettings, "digest", hashlib.md5(body).hexdigest())


def _own_certificate(folder):
    if shutil.which("openssl") is None:
        pytest.skip("makes a certificate with openssl")
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *files, *subject]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


@pytest.fixture
def served(serve, tiny, tmp_path):
    """What a good server sends, which it does."""
    write_pt(tmp_path / "served.pt", read_tiny(tiny))
    body = (tmp_path / "served.pt").read_bytes()
    serve(body)
    return body


def left_behind():
    return sorted(path.name for path in mads_file().parents[1].rglob("*"))


def test_auto_downloads_with_mads_datasets_into_its_cache(served):
    mads_file().parent.mkdir(parents=True)  # mads-datasets alone would never download into it
    said = []
    assert prepare("auto", warn=said.append).dataset == "fashion-mnist"
    (line,) = said
    assert "downloading" in line
    assert mads_file().read_bytes() == served
    assert left_behind() == ["fashionmnist", "fashionmnist.pt"]
    splits = DatasetFactoryProvider.create_factory(DatasetType.FASHION).create_dataset()
    assert (len(splits["train"]), len(splits["valid"])) == (60, 20)


def test_the_line_on_certificates_names_the_variable_that_helps(serve, tiny, tmp_path, monkeypatch, garments_are_small):
    write_pt(tmp_path / "served.pt", read_tiny(tiny))
    serve((tmp_path / "served.pt").read_bytes(), tls=True)
    assert "REQUESTS_CA_BUNDLE" in refusal("fashion-mnist", warn=ignore)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
    assert "REQUESTS_CA_BUNDLE" in refusal("fashion-mnist", warn=ignore)
    said = []
    assert prepare("auto", warn=said.append).dataset == "garments"
    assert "REQUESTS_CA_BUNDLE" in said[-1]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    assert prepare("fashion-mnist", warn=ignore).dataset == "fashion-mnist"


def through_a_proxy(serve, monkeypatch):
    port = serve(status=407)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    _point_to(monkeypatch, "https://fashion.invalid")


def to_a_login_page(serve, monkeypatch):
    serve(b"<html>Log in, please</html>")
    monkeypatch.setattr(fashionmnistsettings, "digest", "0" * 32)


FAULTS_OF_NETWORKS = {
    "a proxy that asks for a password": (through_a_proxy, "HTTPS_PROXY"),
    "the same, without encryption": (lambda serve, monkeypatch: serve(status=407), "HTTPS_PROXY"),
    "a login page": (to_a_login_page, "login page"),
    "a download cut short": (lambda serve, monkeypatch: serve(b"cut", length=100), "broke off"),
    "an error page": (lambda serve, monkeypatch: serve(status=403), "403"),
}


@pytest.mark.parametrize("fault", FAULTS_OF_NETWORKS)
def test_auto_draws_garments_where_the_network_fails_and_fashion_mnist_is_refused(
    fault, serve, monkeypatch, garments_are_small
):
    prepare_network, told = FAULTS_OF_NETWORKS[fault]
    prepare_network(serve, monkeypatch)
    line = refusal("fashion-mnist", warn=ignore)
    assert told in line
    said = []
    assert prepare("auto", warn=said.append).dataset == "garments"
    assert told in said[-1]
    assert "NOT FASHION-MNIST" in said[-1]
    assert left_behind() == []


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        _point_to(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(DownloadFailed, match="no data arrived"):
            sources.download(mads_file().parents[1], warn=ignore, silence_s=0.3)
    assert left_behind() == []


@pytest.mark.parametrize(("limits", "told"), [({"silence_s": 0.5}, "no data arrived"), ({"limit_s": 4}, "more than 4")])
def test_a_download_that_stalls_or_drips_ends_in_time(limits, told, monkeypatch):
    def drip(server):
        with suppress(OSError), server.accept()[0] as connection:
            connection.recv(1_000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"." * 100_000)
            while "limit_s" in limits and not done.wait(0.05):
                connection.sendall(b"." * 20_000)
            done.wait()

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        _point_to(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}")
        try:
            with pytest.raises(DownloadFailed, match=told):
                sources.download(mads_file().parents[1], warn=ignore, **limits)
        finally:
            done.set()
            thread.join()
    assert left_behind() == []


def test_nothing_of_mads_datasets_is_imported_before_it_is_needed():
    code = "import sys, gridstudy.fashion.sources; sys.exit(bool({'mads_datasets', 'requests'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], check=True)
