"""The notebook runs from top to bottom, and what it shows when it is opened is fit to be seen."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = Path(__file__).parents[1] / "notebook.ipynb"


def test_it_is_kept_with_the_outputs_of_a_run_without_error():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 6
    text = "".join(str({**output.get("data", {}), "image/png": ""}) + output.get("text", "") for output in outputs)
    assert not [place for place in ("/work/", "/tmp/", "/home/", "/root/", "Traceback") if place in text]
    assert "fashion-mnist: 50,000 images train" in text


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path, monkeypatch):
    if data_dir := os.environ.get("FASHION_MNIST_DIR"):
        monkeypatch.setenv("FASHION_MNIST_DIR", str(Path(data_dir).resolve()))
    else:
        monkeypatch.setenv("NOTEBOOK_DATASET", "garments-small")
    reference = NOTEBOOK.parent / "reference"
    if reference.is_dir():
        shutil.copytree(reference, tmp_path / "reference")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parent))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    clock = time.monotonic()
    client.execute()
    assert time.monotonic() - clock < 300  # two minutes on two free cores
    assert {path.name for path in tmp_path.iterdir()} <= {"notebook_logs", "reference", "ipython"}
    assert len(list((tmp_path / "notebook_logs").glob("study/*/seed*/result.toml"))) == 20
    assert len(list((tmp_path / "notebook_logs").glob("own/*/seed*/result.toml"))) == 15
