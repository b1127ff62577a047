"""CSV and Parquet files of every kind that was met, and the lines that name what is wrong with one."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import sys

import pandas as pd
import pytest

from gridstudy.core.errors import StudyError
from gridstudy.records.foreign.delimited import read_csv, read_parquet, table_of_frame
from gridstudy.records.foreign.sources import read_results
from tests.records.foreign.results import content_of, make_grid


def read(tmp_path, content):
    path = tmp_path / "results.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv(path)


def test_a_plain_file_is_read_and_nothing_beside_it_is_touched(tmp_path):
    make_grid().to_csv(tmp_path / "results.csv", index=False)
    before = content_of(tmp_path)
    table = read_results(str(tmp_path / "results.csv"))
    pd.testing.assert_frame_equal(table.runs.reset_index(drop=True), make_grid(), check_exact=False)
    assert table.runs.index[0] == 2
    assert table.notes == ("read as UTF-8 with comma between cells and decimal points",)
    assert content_of(tmp_path) == before


def test_a_german_spreadsheet_is_read_and_what_was_detected_is_said(tmp_path):
    text = 'Modell;Lernrate;Dauer;Größe\r\n"MLP";"0,1";15,75 min;1\r\nCNN;0,01;20 s;-\r\n'
    table = read(tmp_path, text.encode("cp1252"))
    assert table.runs["Lernrate"].tolist() == [0.1, 0.01]
    assert table.runs["Dauer"].tolist() == [945, 20]
    assert table.runs["Größe"].isna().tolist() == [False, True]
    assert table.units == {"Dauer": "s"}
    assert table.notes[0] == "read as Windows-1252 with semicolon between cells and decimal commas"
    assert table.notes[1] == "Dauer: times are in seconds"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_encodings_and_delimiters_are_detected(tmp_path, encoding, delimiter):
    lines = [["modèle", "lr", "acc"], ["a", "0.1", "0.5"], ["b", "0.2", "0.75"]]
    text = "\r\n".join(delimiter.join(line) for line in lines)
    table = read(tmp_path, text.encode(encoding))
    assert table.runs.to_dict("list") == {"modèle": ["a", "b"], "lr": [0.1, 0.2], "acc": [0.5, 0.75]}


def test_comments_empty_lines_and_a_column_without_a_name(tmp_path):
    table = read(tmp_path, "# made by me\n\n,lr,acc\n0,0.1,0.5\n# half way\n1,0.2,0.6\n")
    assert table.runs.columns.tolist() == ["column 1", "lr", "acc"]
    assert table.runs.index.tolist() == [4, 6]
    assert "column 1 has no name and is called 'column 1'" in table.notes


def test_a_heading_that_leaves_out_the_row_names(tmp_path):
    table = read(tmp_path, '"lr","acc"\n"1",0.1,0.5\n"2",0.2,0.6\n')
    assert table.runs.columns.tolist() == ["column 1", "lr", "acc"]


def test_a_heading_in_a_comment(tmp_path):
    assert read(tmp_path, "# lr,acc\n0.1,0.5\n0.2,0.6\n").runs.to_dict("list") == {"lr": [0.1, 0.2], "acc": [0.5, 0.6]}


def test_quoted_numbers_percent_signs_and_missing_cells(tmp_path):
    table = read(tmp_path, 'lr,acc,loss\n"0.1","81.5 %",-\n"0.2","82 %",NA\n"0.3",,1.5\n')
    assert table.runs["lr"].tolist() == [0.1, 0.2, 0.3]
    assert table.runs["acc"].tolist()[:2] == [81.5, 82.0]
    assert table.runs.isna().sum().to_dict() == {"lr": 0, "acc": 1, "loss": 2}
    assert table.units == {"acc": "%"}


def test_a_column_that_occurs_twice_gets_another_name(tmp_path):
    table = read(tmp_path, "lr,acc,acc\n0.1,0.5,0.6\n")
    assert table.runs.columns.tolist() == ["lr", "acc", "acc (2)"]


def test_settings_in_one_text_are_flattened(tmp_path):
    table = read(
        tmp_path,
        "config;acc\nModelConfig(hidden_size=64, dropout=0.2);0.5\nModelConfig(hidden_size=32, dropout=0.2);0.6\n",
    )
    assert table.runs["config.hidden_size"].tolist() == [64, 32]
    assert table.known_roles == {"config": "derived from others"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is empty"),
        (b"\n\n# only comments\n", "holds no line that is not empty or a comment"),
        (b"lr,acc\n", "has a heading and no rows"),
        (b"lr,acc\n,\n", "has a heading and no rows"),
        (b"0.1,0.5\n0.2,0.6\n", "has no heading: its first row is '0.1,0.5', and columns need names"),
        (b"lr,acc\n0.1,0.5\n0.1,0.5,7\n", "cannot be read as a table: Expected 2 fields in line 3, saw 3"),
        (b"lr,acc\n0.1,\x81\x8d\n", "row 2 is neither UTF-8, UTF-16 nor Windows-1252; save it as UTF-8"),
        (b"PK\x03\x04\x00\x00lr", "is a spreadsheet or an archive; save the table as CSV"),
        (b"\x1f\x8b\x08\x08", "cannot be unpacked: "),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"\x28\xb5\x2f\xfd\x08", "is compressed; unpack it first"),
        (b"<!DOCTYPE html>\n<p>a, b</p>\n<p>c, d</p>\n", "is a web page; download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 12\n", "is a pointer of Git LFS; run git lfs pull"),
        (b'# c\nlr,acc\n0.1,0.5\n0.1,"0.9\n0.1,0.8\n', "the quotation mark that row 4 opens is never closed"),
        (b'[{"lr": 0.1}]', "is JSON; read it with pandas"),
        (b"\x00\x01\x02", "is not text in UTF-8, or UTF-16 with a byte order mark"),
        (b"lr^acc\n0.1^0.8\n", "has one column, 'lr^acc'; cells must be separated by"),
        (b"sep=;\n", "has no heading"),
        (b"lr,acc\n0.1,0.8,1,2\n", "row 2 has 4 cells, more than the 2 columns"),
        (
            b",acc,acc\n,mean,std\nlr,,\n0.1,0.8,0.1\n0.2,0.8,0.1\n0.3,0.8,0.1\n",
            "row 2 (mean, std) looks like a second heading",
        ),
    ],
)
def test_a_file_that_is_no_table_is_one_line(tmp_path, content, expected):
    with pytest.raises(StudyError) as error:
        read(tmp_path, content)
    assert expected in str(error.value)
    assert str(tmp_path / "results.csv") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["", "mlflow:", "optuna:"])
def test_a_path_that_does_not_exist_is_one_line_and_is_not_created(tmp_path, kind):
    pytest.importorskip("optuna") if kind == "optuna:" else None
    with pytest.raises(StudyError, match="must be a file or folder that exists; there is none at"):
        read_results(f"{kind}{tmp_path / 'missing'}")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="named pipes are of another kind there")
@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_is_read_as_the_file_itself(tmp_path, compress):
    text = b"lr,acc\n0.1,0.5\n0.01,0.6\n"
    (tmp_path / "r.csv.x").write_bytes(compress(text))
    assert read_results(str(tmp_path / "r.csv.x")).runs.equals(read(tmp_path, text.decode()).runs)


def test_spaces_between_cells_as_r_writes_them(tmp_path):
    table = read(tmp_path, '"lr" "opt" "acc"\n"1" 0.1 "a b" 0.5\n"2" 0.01 "sgd"  0.6\n')
    assert table.runs.columns.tolist() == ["column 1", "lr", "opt", "acc"]
    assert table.runs["opt"].tolist() == ["a b", "sgd"] and table.runs["acc"].tolist() == [0.5, 0.6]
    assert table.notes[0] == "read as UTF-8 with spaces between cells and decimal points"


def test_decimal_commas_beside_a_word_are_numbers(tmp_path):
    table = read(tmp_path, "lr;units;loss\n0,1;8,8;0,5\n0,1;8,8,8;failed\n0,01;8,8;1,2e-3\n")
    assert table.runs["loss"].tolist() == ["0.5", "failed", "1.2e-3"]
    assert table.runs["units"].tolist() == ["8,8", "8,8,8", "8,8"]


def test_a_pipe_and_a_device_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", "/dev/zero"):
        with pytest.raises(StudyError, match="not a regular file"):
            read_results(str(path))


def test_parquet_is_read(tmp_path):
    pytest.importorskip("pyarrow")
    make_grid().astype({"lr": "category"}).set_index("seed").to_parquet(tmp_path / "results.parquet")
    table = read_results(str(tmp_path / "results.parquet"))
    assert table.runs["lr"].tolist() == make_grid()["lr"].tolist()
    assert table.runs["seed"].tolist() == make_grid()["seed"].tolist()
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(StudyError, match="cannot be read as Parquet"):
        read_results(str(tmp_path / "broken.parquet"))


def test_without_pyarrow_parquet_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StudyError, match="Parquet files need pyarrow: pip install pyarrow"):
        read_parquet(tmp_path / "results.parquet")


def test_a_data_frame_is_taken_as_it_is():
    frame = make_grid().set_index("seed", drop=False)
    table = table_of_frame(frame)
    assert table.runs.index.tolist() == list(range(2, 18))
    assert frame.index.name == "seed"
    with pytest.raises(StudyError, match="two columns are called 'lr'"):
        table_of_frame(pd.DataFrame([[1, 2]], columns=["lr", "lr"]))
