"""The real PowerShell for run_experiments.ps1: where it is, and how tests run it without and in a terminal."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from tests.conftest import wait_until

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "run_experiments.ps1"
ASKS_FOR_CURSOR = "\x1b[6n"
TINY = Path(__file__).with_name("tiny.py")


def find_powershell() -> str | None:
    """PWSH, or the one beside the repository, or the one on the path."""
    shared = ROOT.parent / "shared" / "powershell" / "pwsh"
    if given := os.environ.get("PWSH"):
        return given
    return str(shared) if shared.is_file() else shutil.which("pwsh") or shutil.which("powershell")


POWERSHELL = find_powershell()
must_run = sys.platform == "linux" and bool(os.environ.get("CI"))
needs_powershell = pytest.mark.skipif(
    POWERSHELL is None and not must_run, reason="no PowerShell: set PWSH, or put pwsh or powershell on the path"
)
needs_terminal = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals for pexpect")


def command(*arguments: object, script: Path = SCRIPT) -> list[str]:
    assert POWERSHELL, "on Linux, CI needs a PowerShell: set PWSH"
    return [POWERSHELL, "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", str(script), *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {"GRIDSTUDY_PYTHON": sys.executable, "TERM": "dumb", "NO_COLOR": "1"} | variables


def run(
    *arguments: object, cwd: Path, script: Path = SCRIPT, answers: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the script from `cwd` without a terminal, with `answers` as its standard input."""
    return subprocess.run(
        command(*arguments, script=script), cwd=cwd, input=answers, env=environment(**variables),
        capture_output=True, encoding="utf-8", errors="replace", timeout=120, check=False,
    )  # fmt: skip


def powershell(text: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of PowerShell's own."""
    assert POWERSHELL
    return subprocess.run(
        [POWERSHELL, "-NoProfile", "-ExecutionPolicy", "Bypass", "-Command", text], cwd=cwd, env=environment(),
        capture_output=True, encoding="utf-8", errors="replace", timeout=120, check=False,
    )  # fmt: skip


def start(*arguments: object, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    """Start the script without a terminal and with a standard input that stays open."""
    return subprocess.Popen(
        command(*arguments), cwd=cwd, env=environment(**variables), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


class Terminal(pexpect.spawn):
    """A pseudo-terminal that says where its cursor is, because PowerShell asks before it reads a line."""

    def read_nonblocking(self, size: int = 1, timeout: float = -1) -> str:
        text = super().read_nonblocking(size, timeout)
        for _ in range(text.count(ASKS_FOR_CURSOR)):
            self.send("\x1b[1;1R")
        return text

    def until(self, text: str) -> str:
        """Read until `text` has come; all that came before it, as it looks."""
        self.expect_exact(text)
        return self.before.replace(ASKS_FOR_CURSOR, "").replace("\r\n", "\n")

    def answer(self, question: str, text: str) -> str:
        """Type an answer after a question; all that came before it."""
        before = self.until(question)
        self.sendline(text)
        return before

    def exit_code(self, *, timeout_s: float = 60) -> int | None:
        self.expect(pexpect.EOF, timeout=timeout_s)
        self.close()
        return self.exitstatus

    def interrupt(self) -> int | None:
        """Press Ctrl-C until it is heard (not in the moment in which PowerShell asks for the cursor); the exit code."""
        for _ in range(9):
            self.sendintr()
            with suppress(pexpect.TIMEOUT):
                return self.exit_code(timeout_s=5)
        return self.exit_code()


def typed(*arguments: object, cwd: Path, script: Path = SCRIPT, **variables: str) -> Terminal:
    """Start the script in a pseudo-terminal, to type and to read."""
    first, *rest = command(*arguments, script=script)
    return Terminal(
        first, rest, cwd=str(cwd), env=environment(**variables), encoding="utf-8", timeout=60, dimensions=(60, 160)
    )


def processes_naming(text: object) -> list[int]:
    """The processes whose command line holds `text`, this one aside."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(text).encode() in (folder / "cmdline").read_bytes() and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def answers(address: str) -> bool:
    """Whether the port of `http://127.0.0.1:PORT/` takes a connection."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", int(address.rstrip("/").rpartition(":")[2]))) == 0


def end(process: subprocess.Popen[str]) -> None:
    """Kill a shell that a test started, and wait."""
    process.kill()
    process.communicate(timeout=10)


def assert_gone(address: str) -> None:
    """TensorBoard ends within 5 s."""
    wait_until(lambda: not answers(address), timeout_s=5)
