"""JSON Lines, JSON and CSV: what is right is read, and what is broken is named with its line and byte."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from halluc_ray.errors import InputError
from tests.unit.corpora.importing.whole import imported, rejected, rows, write_lines

GOOD = {"id": 1, "q": {"text": "what?"}}
MAP = "id=id,prompt=q.text"


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b'{"id": 2, "q": {"text": "a\0b"}}', "NUL byte", "column 27"),
        (b'{"id": 2, "q": {"text": "caf\xe9"}}', "not UTF-8", "byte 62 is b'\\xe9'"),
        (b'{"id": 2, "q": {"text": NaN}}', "NaN or Infinity", "--nan null"),
        (b'{"id": 2}{"id": 3}', "more than one value on the line", '{"id": 3}'),
        (b'{"id": 2, "q" 5}', "not JSON", "column 15, where '5}'"),
        (b"{'id': 2}", "not JSON", "column 2"),
        (b'{"id": 2, "q": {', "not JSON", "over several lines"),
        (b'{"id": 2, "x": ' + b"9" * 5_000 + b"}", "number too long", "write it as text"),
        (b"[1, 2]", "not an object", "a list"),
        (b'"text"', "not an object", "text ('text')"),
        (b'{"id": null, "q": {"text": "b"}}', "no id", "--id row"),
        (b'{"id": [1], "q": {"text": "b"}}', "no id", "a list"),
        (b'{"id": 2, "q": "flat"}', "q.text: q is not an object", "'flat'"),
        (b'{"id": 2, "q": {"text": "\\ud800"}}', "half a surrogate pair", "'\\ud800'"),
        (b'{"id": 2, "q": {"text": "b"}, "\\udfff": 1}', "half a surrogate pair", "'\\udfff'"),
        (b'{"id": ' + b"[" * 99_999 + b"]" * 99_999 + b"}", "nested too deeply", "flatten"),
    ],
)
def test_a_broken_line_costs_only_itself(tmp_path: Path, line: bytes, reason: str, detail: str) -> None:
    source = write_lines(tmp_path / "a.jsonl", GOOD, line, b"", {**GOOD, "id": 3})
    result = imported(source, tmp_path / "out", MAP)
    assert (result.records, result.imported, result.rejected) == (3, 2, {reason: 1})
    [told] = rejected(tmp_path / "out")
    offset = len(json.dumps(GOOD)) + 1
    assert (told["file"], told["row"], told["line"], told["byte"], told["reason"]) == ("a.jsonl", 1, 2, offset, reason)
    assert detail in told["detail"]
    assert told["raw"][:6] == line[:6].decode()
    assert [row["id"] for row in rows(tmp_path / "out")] == ["1", "3"]


def test_a_line_of_many_megabytes_is_skipped_without_being_held(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "a.jsonl", GOOD, b'{"id": 2, "x": "' + b"y" * (17 << 20) + b'"}', {**GOOD, "id": 3})
    assert imported(source, tmp_path / "out", MAP).rejected == {"line too long": 1}
    assert len(rows(tmp_path / "out")) == 2


def test_nan_is_null_where_it_is_said(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "a.jsonl", {**GOOD, "score": float("nan")}, {**GOOD, "score": 0.5})
    result = imported(source, tmp_path / "out", MAP, reading={"nan_as_null": True})
    assert ([row["score"] for row in rows(tmp_path / "out")], result.nan_as_null) == ([None, 0.5], 1)


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.jsonl", bytes),
        ("a.ndjson.gz", lambda data: gzip.compress(data[:30]) + gzip.compress(data[30:])),
        ("a.jsonl.bz2", bz2.compress),
        ("a.jsonl.xz", lzma.compress),
        ("a.jsonl.zst", lambda data: pa.compress(data, codec="zstd", asbytes=True)),
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_compressed_files_and_byte_order_marks(tmp_path: Path, name: str, pack: Any, mark: bytes) -> None:
    lines = [{**GOOD, "id": number, "note": "é中😀"} for number in range(50)]
    (tmp_path / name).write_bytes(pack(mark + "\r\n".join(map(json.dumps, lines)).encode()))
    assert imported(tmp_path / name, tmp_path / "out", MAP).rows == 50
    assert rows(tmp_path / "out")[49] == {"id": "49", "prompt": "what?", "note": "é中😀"}


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.bz2", "a.jsonl.xz", "a.jsonl.zst"])
def test_cut_or_wrong_compression_is_told(tmp_path: Path, name: str) -> None:
    pack: Any = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.get(name[8:])
    data = b"".join(json.dumps({**GOOD, "id": str(number)}).encode() + b"\n" for number in range(5_000))
    whole = pack(data) if pack else pa.compress(data, codec="zstd", asbytes=True)
    for content in (whole[:-9], data):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}.* (compression is damaged or cut|can not be read)"):
            imported(tmp_path / name, tmp_path / "out", MAP)
        assert not (tmp_path / "out").exists()


def test_other_encodings_are_told_and_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"id": 1, "q": {"text": "é中"}}\n'.encode("utf-16"))
    with pytest.raises(InputError, match=r"UTF-16.*--encoding utf-16"):
        imported(tmp_path / "a.jsonl", tmp_path / "out", MAP)
    imported(tmp_path / "a.jsonl", tmp_path / "out", MAP, reading={"encoding": "utf-16"})
    assert rows(tmp_path / "out")[0]["prompt"] == "é中"
    (tmp_path / "b.csv").write_bytes("id,q\n1,你好\n".encode("gb18030"))
    imported(tmp_path / "b.csv", tmp_path / "zh", "id=id,prompt=q", reading={"encoding": "gb18030"})
    assert rows(tmp_path / "zh")[0]["prompt"] == "你好"
    (tmp_path / "c.csv").write_bytes(b"id,q\n1,\x81\n")
    with pytest.raises(InputError, match=r"is not cp1252: .* near byte 7"):
        imported(tmp_path / "c.csv", tmp_path / "x", "id=id,prompt=q", reading={"encoding": "cp1252"})


DOCUMENTS = {
    "array": '[{"id": 1, "q": {"text": "what?"}},\n {"id": 2, "q": {"text": "é"}}]',
    "objects over lines": '{"id": 1,\n "q": {"text": "what?"}}\n{"id": 2,\n "q": {"text": "é"}}',
    "an object a line": '{"id": 1, "q": {"text": "what?"}}\n{"id": 2, "q": {"text": "é"}}\n',
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_json_documents(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.json").write_text(DOCUMENTS[kind], encoding="utf-8")
    imported(tmp_path / "a.json", tmp_path / "out", MAP)
    assert rows(tmp_path / "out") == [{"id": "1", "prompt": "what?"}, {"id": "2", "prompt": "é"}]


def test_numbers_of_a_document_are_those_of_json_lines(tmp_path: Path) -> None:
    record = b'{"id": 123456789012345678901234567890, "a": 0.1, "b": -0.0, "c": 9007199254740993, "d": [1, 2.5e-3]}'
    (tmp_path / "a.json").write_bytes(b"[" + record + b"]")
    write_lines(tmp_path / "a.jsonl", record)
    for name in ("a.json", "a.jsonl"):
        imported(tmp_path / name, tmp_path / f"out {name}", "id=id", keep="all")
    assert rows(tmp_path / "out a.json") == rows(tmp_path / "out a.jsonl")
    assert repr(rows(tmp_path / "out a.json")[0]["b"]) == "-0.0"


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_a_cut_document_keeps_the_records_before_the_cut(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.json").write_text(DOCUMENTS[kind][:55], encoding="utf-8")
    assert imported(tmp_path / "a.json", tmp_path / "out", MAP).rejected == {"cut at the end of the file": 1}
    assert [row["id"] for row in rows(tmp_path / "out")] == ["1"]


def test_records_inside_an_object(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"version": 2, "data": {"items": [GOOD]}}))
    with pytest.raises(InputError, match=r"say --records data\.items"):
        imported(tmp_path / "a.json", tmp_path / "out", MAP)
    imported(tmp_path / "a.json", tmp_path / "out", MAP, reading={"records": "data.items"})
    assert rows(tmp_path / "out")[0]["prompt"] == "what?"
    with pytest.raises(InputError, match=r"no list at .data\.other."):
        imported(tmp_path / "a.json", tmp_path / "x", MAP, reading={"records": "data.other"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"id": 1}, {"id": 2 "x": 1}]', "broken JSON within the 64 KiB before byte 29, after 1 records"),
        ('[{"id": 1}, {"id": NaN}]', "NaN within .* after 1 records.*--nan null"),
        ('[{"id": 1}] and more', "broken JSON"),
        ("hello", "is no JSON: it begins with b'hello'"),
        ("17", "is no JSON"),
        ("[]", "holds no record"),
        ("   ", "holds no record"),
        ("", r"is empty \(0 bytes\)"),
    ],
)
def test_a_document_that_can_not_be_read_past_a_point_is_an_error(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=told):
        imported(tmp_path / "a.json", tmp_path / "out", "id=id")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def csv_file(folder: Path, content: str | bytes) -> Path:
    path = folder / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, delimiter: str) -> None:
    lines = [["id", "text", ""], ["1", '"a, b; c\t| ""d"""', "x"], ["2", '"two\nlines"', ""]]
    source = csv_file(tmp_path, "\n".join(delimiter.join(cells) for cells in lines))
    imported(source, tmp_path / "out", "id=id,prompt=text")
    assert rows(tmp_path / "out") == [
        {"id": "1", "prompt": 'a, b; c\t| "d"', "column 3": "x"},
        {"id": "2", "prompt": "two\nlines", "column 3": None},
    ]


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        ("2,b,c", "ragged", "3 cells under 2 columns"),
        ("2", "ragged", "1 cells under 2 columns"),
        (b"2,caf\xe9", "not UTF-8", "'text'"),
        ("2,a\0b", "NUL byte", "'text'"),
        ('2,"a"b"', "broken quotes", "line 3"),
        ('2,"open\n4,d\n5,"e, f"', "broken quotes", "the 2 lines after it are records of their own"),
    ],
)
def test_a_broken_record_costs_only_itself(tmp_path: Path, record: str | bytes, reason: str, detail: str) -> None:
    middle = record if isinstance(record, bytes) else record.encode()
    result = imported(
        csv_file(tmp_path, b"id,text\n1,a\n" + middle + b"\n3,c\n"), tmp_path / "out", "id=id,prompt=text"
    )
    assert result.rejected == {reason: 1}
    [told] = rejected(tmp_path / "out")
    assert (told["line"], told["byte"], told["raw"]) == (3, 12, middle.decode(errors="replace").replace("�", "?"))
    assert detail in told["detail"]
    assert [row["id"] for row in rows(tmp_path / "out")] == ["1", "3"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('id,text\n1,a\n2,"open\n3,b\n', "opened in the record at line 3 is not closed until line 4"),
        ("id,id\n1,2\n", "two columns are called 'id'"),
        ("id,text\r1,a\r", "carriage returns alone"),
        ("id,text\n", "holds no record"),
        ("", r"\(0 bytes\)"),
        ("id,text\n1,a\n" + "x" * (17 << 20), "longer than 16 MiB"),
    ],
)
def test_a_csv_file_that_can_not_be_read_as_a_whole(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        imported(csv_file(tmp_path, content), tmp_path / "out", "id=id")
    assert not (tmp_path / "out").exists()
