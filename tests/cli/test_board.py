"""TensorBoard by `python -m gridstudy board`, as real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from gridstudy.__main__ import main
from tests.conftest import wait_until

ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@pytest.fixture
def board(tmp_path):
    """Start the command in an empty folder; whatever is left of it at the end is killed."""
    started = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "gridstudy", "board", *arguments], cwd=tmp_path, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def address_of(process):
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:"), process.stderr.read()
    return address


def answers(address):
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=20) as page:
            return page.status == 200
    except OSError:
        return False


def helpers_of(process):
    """The processes that it has started and that are alive, where /proc tells."""
    stats = [path.read_text().rpartition(")")[2].split() for path in Path("/proc").glob("[0-9]*/stat")]
    return [fields for fields in stats if fields[1] == str(process.pid) and fields[0] != "Z"]


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_it_answers_at_the_address_that_it_prints_and_ends_when_its_input_does(board, tmp_path):
    opened = tmp_path / "opened"
    process = board("--no-open", "--until-stdin-closes", BROWSER=f"touch {opened} %s")
    address = address_of(process)
    assert answers(address)
    process.stdin.close()
    assert process.wait(timeout=5) == 0
    assert process.stdout.read() == ""
    assert process.stderr.read() == "modellogs holds no logs yet; they appear as trials run\n"
    assert not answers(address)
    assert not opened.exists()


@POSIX
def test_it_takes_the_port_that_it_is_given_opens_the_browser_and_ends_on_ctrl_c(board, tmp_path):
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > "$(dirname "$0")/opened"\nexec sleep 9 > /dev/null 2>&1\n')
    browser.chmod(0o755)
    (tmp_path / "lögs, b").mkdir()
    port = free_port()
    process = board("--port", str(port), "--logdir", "lögs, b", BROWSER=f"{browser} %s")
    address = address_of(process)
    assert address == f"http://127.0.0.1:{port}/"
    wait_until((tmp_path / "opened").exists)
    assert (tmp_path / "opened").read_text().strip() == address
    process.stdin.close()  # without the option, that does not end it
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 130
    assert process.stderr.read() == ""


@POSIX
def test_a_board_that_is_killed_leaves_no_process_behind(board):
    process = board("--no-open")
    address = address_of(process)
    helpers = helpers_of(process)
    process.kill()
    process.wait()
    wait_until(lambda: not any(Path(f"/proc/{fields[0]}").exists() for fields in helpers), timeout_s=5)
    assert not answers(address)


def test_plugins_of_other_packages_are_left_out(board):
    with urllib.request.urlopen(address_of(board("--no-open")) + "data/plugins_listing", timeout=20) as listing:
        plugins = json.load(listing)
    assert "hparams" in plugins
    assert not {"pytorch_profiler", "projector"} & set(plugins)


def test_only_this_machine_is_answered(board):
    address = address_of(board("--no-open"))
    port = int(address.rstrip("/").rpartition(":")[2])
    with closing(socket.socket()) as elsewhere:  # another address of this machine: taken if TensorBoard held them all
        elsewhere.bind(("127.0.0.2" if sys.platform == "linux" else "0.0.0.0", port))


@pytest.mark.parametrize("port", ["0", "65536", "-1", "six", "٣", ""])
def test_an_impossible_port_is_one_line(port, capsys):
    assert main(["board", f"--port={port}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --port takes a whole number from 1 to 65535; got ")


@pytest.mark.filterwarnings("ignore")  # what TensorBoard imports
def test_a_port_in_use_a_file_as_log_directory_and_a_missing_package_are_one_line_each(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "logs").mkdir()
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["board", "--logdir", "logs", "--no-open", "--port", str(port)]) == 2
    assert main(["board", "--logdir", "file"]) == 2
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["board", "--logdir", "logs"]) == 2
    err = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") for line in err] == [True] * 3
    assert f"port {port} cannot be used" in err[0]
    assert "the log directory must be a folder; file is a file" in err[1]
    assert "'tensorboard' is not installed" in err[2]


def test_help_answers_without_heavy_imports():
    program = "import sys; from gridstudy.__main__ import main; code = main(['board', '--help']); " \
        "assert not {'tensorboard', 'numpy', 'pandas'} & set(sys.modules); sys.exit(code)"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "--until-stdin-closes" in done.stdout


@pytest.mark.parametrize("words", [[], ["tensorboard"]])
def test_the_first_word_is_a_command(words, capsys):
    assert main(words) == 2
    assert "the first word is one of run, analyse, board; got " in capsys.readouterr().err
