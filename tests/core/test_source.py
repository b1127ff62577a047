from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

import gridstudy.core
from gridstudy.core import errors, source
from gridstudy.core.source import source_digest


def test_a_digest_is_short_and_does_not_depend_on_order_or_repetition():
    assert re.fullmatch("[0-9a-f]{12}", source_digest([errors, source]))
    assert source_digest([errors, source]) == source_digest([source, errors, source])
    assert source_digest([errors]) != source_digest([source])


def test_line_ends_do_not_count_and_every_other_letter_does(tmp_path):
    path = tmp_path / "module.py"
    digests = []
    for content in (b"a = 1\nb = 2\n", b"a = 1\r\nb = 2\r\n", b"a = 1\nb = 3\n"):
        path.write_bytes(content)
        digests.append(source_digest([path]))
    assert digests[0] == digests[1] != digests[2]


def test_a_package_stands_for_its_files_wherever_it_lies(tmp_path):
    copies = []
    for place in ("a", "b"):
        package = tmp_path / place / "package"
        (package / "inner").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "inner" / "module.py").write_text("x = 1")
        copies.append(package)
    assert source_digest([copies[0]]) == source_digest([copies[1]])
    (copies[1] / "inner" / "module.py").write_text("x = 2")
    assert source_digest([copies[0]]) != source_digest([copies[1]])
    assert source_digest([gridstudy.core]) == source_digest([Path(gridstudy.core.__file__).parent])


def test_a_package_differs_from_its_first_file_alone():
    assert source_digest([json]) != source_digest([Path(json.__file__)])


def test_a_module_without_a_file_is_refused(monkeypatch):
    monkeypatch.delattr(math, "__file__", raising=False)
    with pytest.raises(ValueError, match="math has none"):
        source_digest([math])
