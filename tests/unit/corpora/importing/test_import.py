"""Whole imports of files: types, ids, kept fields, files and groups, the manifest, and how OUT appears."""

import hashlib
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from halluc_ray.corpora.importing import look_at, publishing, writer
from halluc_ray.corpora.importing.reading import ReadingOptions
from halluc_ray.corpora.importing.sources import HubDataset, find_source
from halluc_ray.corpora.importing.tables import read_hub
from halluc_ray.errors import InputError, SpecError
from tests.unit.corpora.importing.whole import imported, rows, write_lines

MAP = "id=id,prompt=q"


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, None, 3], pa.int64(), [1, None, 3]),
        ([1, 2.5], pa.float64(), [1.0, 2.5]),
        ([0.5, 1, 2], pa.float64(), [0.5, 1.0, 2.0]),
        ([1, 0.5, 2, "a"], pa.string(), ["1", "0.5", "2", "a"]),
        ([1, 0.5, 2, ["a"]], pa.list_(pa.string()), [["1"], ["0.5"], ["2"], ["a"]]),
        ([2**53 + 1, 2.5], pa.string(), ["9007199254740993", "2.5"]),
        ([2**70], pa.string(), [str(2**70)]),
        ([True, None], pa.bool_(), [True, None]),
        ([True, 1], pa.string(), ["true", "1"]),
        (["a", 1, False, 0.5], pa.string(), ["a", "1", "false", "0.5"]),
        (["a", ["b", "c"]], pa.list_(pa.string()), [["a"], ["b", "c"]]),
        ([["a", None, 1], []], pa.list_(pa.string()), [["a", None, "1"], []]),
        ([[1, 2], None], pa.list_(pa.int64()), [[1, 2], None]),
        ([[1], [0.5]], pa.list_(pa.float64()), [[1.0], [0.5]]),
        ([[1, 0.5], [2]], pa.list_(pa.float64()), [[1.0, 0.5], [2.0]]),
        ([[1, 0.5], [2], ["a"]], pa.list_(pa.string()), [["1", "0.5"], ["2"], ["a"]]),
        ([[2**53 + 1], [2]], pa.list_(pa.int64()), [[2**53 + 1], [2]]),
        ([[2**53 + 1], [0.5]], pa.list_(pa.string()), [["9007199254740993"], ["0.5"]]),
        ([{"a": "é"}, "b", None], pa.string(), ['{"a": "é"}', "b", None]),
        ([[["a"]], ["b"]], pa.string(), ['[["a"]]', '["b"]']),
        ([None, None], pa.string(), [None, None]),
    ],
)
@pytest.mark.parametrize("group_rows", [1, 2, 4_096])
def test_a_column_holds_all_its_values(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: list[Any],
    kind: pa.DataType,
    expected: list[Any],
    group_rows: int,
) -> None:
    """Whether a column widens within a row group or in a later one makes no difference."""
    monkeypatch.setattr(writer, "GROUP_ROWS", group_rows)
    source = write_lines(tmp_path / "a.jsonl", *({"id": n, "v": value} for n, value in enumerate(values)))
    imported(source, tmp_path / "out", "id=id,v=v")
    table = pq.read_table(tmp_path / "out")
    assert table.schema.field("v").type == kind
    assert table["v"].to_pylist() == expected


def test_prompt_and_response_are_text_whatever_they_hold(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "hi"}]
    source = write_lines(tmp_path / "a.jsonl", {"id": 1.5, "p": 3, "r": turns}, {"id": "x", "p": None, "r": "y"})
    result = imported(source, tmp_path / "out", "id=id,prompt=p,response=r")
    assert rows(tmp_path / "out") == [
        {"id": "1.5", "prompt": "3", "response": json.dumps(turns)},
        {"id": "x", "prompt": None, "response": "y"},
    ]
    assert result.nulls == {"id": 0, "prompt": 1, "response": 0}


RECORDS = [
    {"id": 1, "q": "a", "lang": "en", "prompt": "taken", "tags": ["x"], "late": None},
    {"id": 2, "q": "b", "lang": None, "late": 5, "tags": "y", "meta": {"k": 1}},
]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("scalars", {"lang": ["en", None], "source_prompt": ["taken", None], "late": [None, 5]}),
        ("none", {}),
        (frozenset({"meta", "lang"}), {"lang": ["en", None], "meta": [None, '{"k": 1}']}),
        (
            "all",
            {
                "lang": ["en", None],
                "source_prompt": ["taken", None],
                "tags": [["x"], ["y"]],
                "late": [None, 5],
                "meta": [None, '{"k": 1}'],
            },
        ),
    ],
)
def test_fields_that_are_not_mapped(tmp_path: Path, keep: Any, kept: dict[str, Any]) -> None:
    result = imported(write_lines(tmp_path / "a.jsonl", *RECORDS), tmp_path / "out", MAP, keep=keep)
    found = pq.read_table(tmp_path / "out").to_pydict()
    assert found == {"id": ["1", "2"], "prompt": ["a", "b"]} | kept
    assert result.left_out == (("meta", "tags") if keep == "scalars" else ())


def test_a_kept_field_never_takes_the_column_of_another(tmp_path: Path) -> None:
    source = write_lines(
        tmp_path / "a.jsonl",
        {"id": 1, "q": "a", "prompt": "p1", "source_prompt": "s1"},
        {"id": 2, "q": "b", "source_prompt": "s2", "prompt": "p2"},
    )
    result = imported(source, tmp_path / "out", MAP)
    assert [list(row.values()) for row in rows(tmp_path / "out")] == [["1", "a", "p1", "s1"], ["2", "b", "p2", "s2"]]
    assert result.renamed == {"prompt": "source_prompt", "source_prompt": "source_source_prompt"}


def test_ids_of_rows_exploded_and_doubled(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_lines(tmp_path / "in" / "a.jsonl", {"q": ["x", "y"]}, b"broken", {"q": ["z"]})
    write_lines(tmp_path / "in" / "b.jsonl", {"q": ["x"]})
    result = imported(tmp_path / "in", tmp_path / "out", "prompt=explode(q[])", id_from_row=True)
    assert [row["id"] for row in rows(tmp_path / "out")] == ["a.jsonl:0#0", "a.jsonl:0#1", "a.jsonl:2#0", "b.jsonl:0#0"]
    assert (result.records, result.imported, result.rows, result.duplicates.rows) == (4, 3, 4, 0)
    again = imported(tmp_path / "in", tmp_path / "doubled", "id='same',prompt=q[0]")
    assert (again.duplicates.rows, again.duplicates.examples) == (2, ("same",))


def test_an_id_must_be_said(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "a.jsonl", *RECORDS)
    with pytest.raises(SpecError, match="no column is mapped to id"):
        imported(source, tmp_path / "out", "prompt=q")
    with pytest.raises(SpecError, match="exclude each other"):
        imported(source, tmp_path / "out", MAP, id_from_row=True)


def test_a_path_that_no_record_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record has what is mapped to reference; records have the fields id, q"):
        imported(write_lines(tmp_path / "a.jsonl", *RECORDS), tmp_path / "out", MAP + ",reference=answer.text")
    assert list(tmp_path.iterdir()) == [tmp_path / "a.jsonl"]


def test_a_field_to_keep_that_no_record_has_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no record has the field lnag; there are id, q, lang"):
        imported(write_lines(tmp_path / "a.jsonl", *RECORDS), tmp_path / "out", MAP, keep=frozenset({"lnag", "lang"}))


def test_files_and_row_groups_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GROUP_BYTES", 20_000)
    monkeypatch.setattr(writer, "FILE_BYTES", 20_000)
    texts = [hashlib.sha256(str(n).encode()).hexdigest() * 10 for n in range(1_000)]
    source = write_lines(tmp_path / "a.jsonl", *({"id": n, "q": text, "n": n} for n, text in enumerate(texts)))
    result = imported(source, tmp_path / "out", MAP)
    assert result.files == len(list((tmp_path / "out").glob("*.parquet"))) > 2
    assert [row["prompt"] for row in rows(tmp_path / "out")] == texts
    for path in (tmp_path / "out").glob("*.parquet"):
        groups = pq.ParquetFile(path).metadata
        assert max(groups.row_group(k).total_byte_size for k in range(groups.num_row_groups)) < 40_000


def test_the_manifest_accounts_for_everything_and_an_import_is_reproducible(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "a.jsonl", *RECORDS, b"{")
    for name in ("one", "two"):
        imported(source, tmp_path / name, MAP)
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    manifest = json.loads(files["_manifest.json"])
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    entry = {"name": "a.jsonl", "bytes": source.stat().st_size, "format": "jsonl", "digest": f"sha256:{digest}"}
    assert manifest["source"]["files"] == [entry]
    assert (manifest["records"], manifest["imported"], manifest["rejected"], manifest["rows"]) == (3, 2, 1, 2)
    assert manifest["read_as"] == {"encoding": "utf-8", "nan_as_null": False}
    [part] = manifest["files"]
    assert part["digest"] == f"sha256:{hashlib.sha256(files[part['name']]).hexdigest()}"
    assert str(tmp_path) not in files["_manifest.json"].decode()


def test_out_is_replaced_only_if_said_and_only_if_an_import_wrote_it(tmp_path: Path) -> None:
    source, out = write_lines(tmp_path / "a.jsonl", *RECORDS), tmp_path / "out"
    imported(source, out, MAP)
    with pytest.raises(InputError, match="--overwrite"):
        imported(source, out, MAP)
    write_lines(source, RECORDS[0])
    imported(source, out, MAP, overwrite=True)
    assert len(rows(out)) == 1
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt beside an import"):
        imported(source, out, MAP, overwrite=True)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "_manifest.json").write_text("{}")
    for folder, told in (
        (tmp_path / "foreign", "not that of an import"),
        (tmp_path, "no import wrote"),
        (source, "is a file"),
    ):
        with pytest.raises(InputError, match=told):
            imported(source, folder, MAP, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "foreign", "out"]


def test_a_failed_import_leaves_the_earlier_one(tmp_path: Path) -> None:
    source, out = write_lines(tmp_path / "a.jsonl", *RECORDS), tmp_path / "out"
    imported(source, out, MAP)
    before = rows(out)
    write_lines(source, b"{", b"{")
    with pytest.raises(InputError, match=r"none of 2 records could be taken; the first, a\.jsonl line 1"):
        imported(source, out, MAP, overwrite=True)
    assert rows(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "out"]


def test_two_imports_into_one_place(tmp_path: Path) -> None:
    staging = tmp_path / ".out.importing"
    staging.mkdir()
    (staging / "part-00000.parquet").write_bytes(b"of a killed import")
    source = write_lines(tmp_path / "a.jsonl", *RECORDS)
    with FileLock(staging / ".lock"), pytest.raises(InputError, match="another import writes to"):
        imported(source, tmp_path / "out", MAP)
    imported(source, tmp_path / "out", MAP)
    assert len(rows(tmp_path / "out")) == 2
    assert publishing.MANIFEST in [path.name for path in (tmp_path / "out").iterdir()]


def test_the_next_import_s_folder_is_not_taken_away(tmp_path: Path) -> None:
    """One import ends while the next one into the same place has begun."""
    with publishing.target(str(tmp_path / "out"), overwrite=False) as first:
        (first.staging / publishing.MANIFEST).write_text("{}")
        first.publish([publishing.MANIFEST])
        (tmp_path / ".out.importing").mkdir()
        (tmp_path / ".out.importing" / "part-00000.parquet").write_bytes(b"of the next")
    assert (tmp_path / ".out.importing" / "part-00000.parquet").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [publishing.MANIFEST]


def test_parquet_and_arrow_and_saved_datasets(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(
        [{"id": n, "q": {"text": f"q{n}"}, "image": {"bytes": b"\x89", "path": None}} for n in range(700)]
    )
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=100)
    saved = datasets.Dataset(table)
    saved.save_to_disk(str(tmp_path / "saved"))
    datasets.DatasetDict({"train": saved, "test": saved.select(range(9, 3, -1))}).save_to_disk(str(tmp_path / "splits"))
    with pa.OSFile(str(tmp_path / "[a].arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    mapping = "id=id,prompt=q.text,image=image.bytes"
    for name in ("a.parquet", "saved", "[a].arrow"):
        assert imported(tmp_path / name, tmp_path / f"out {name}", mapping).rows == 700
        assert rows(tmp_path / f"out {name}")[699] == {"id": "699", "prompt": "q699", "image": b"\x89"}
    with pytest.raises(InputError, match="several splits; say --split, one of train, test"):
        imported(tmp_path / "splits", tmp_path / "x", mapping)
    with pytest.raises(InputError, match="no split 'dev'"):
        imported(tmp_path / "splits", tmp_path / "x", mapping, reading={"split": "dev"})
    imported(tmp_path / "splits", tmp_path / "test", mapping, reading={"split": "test"})
    assert [row["id"] for row in rows(tmp_path / "test")] == ["9", "8", "7", "6", "5", "4"]


@pytest.mark.parametrize("name", ["../other/data-00000-of-00001.arrow", "{other}/data-00000-of-00001.arrow", ".."])
def test_a_saved_dataset_names_no_file_outside_itself(tmp_path: Path, name: str) -> None:
    for folder in ("saved", "other"):
        datasets.Dataset.from_dict({"id": [folder], "q": ["a"]}).save_to_disk(tmp_path / folder)
    state = json.loads((tmp_path / "saved" / "state.json").read_text())
    state["_data_files"] = [{"filename": name.format(other=tmp_path / "other")}]
    (tmp_path / "saved" / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match=r"outside it|is not there"):
        imported(tmp_path / "saved", tmp_path / "out", MAP)


def test_a_time_that_no_calendar_holds_is_an_error_with_its_place(tmp_path: Path) -> None:
    table = pa.table({"id": [1], "q": ["a"], "at": pa.array([2**53], pa.timestamp("s"))})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet row group 0, after 0 rows"):
        imported(tmp_path / "a.parquet", tmp_path / "out", MAP)


def test_an_id_that_is_nan_is_none(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1.0, float("nan")], "q": ["a", "b"]}), tmp_path / "a.parquet")
    assert imported(tmp_path / "a.parquet", tmp_path / "out", MAP).rejected == {"no id": 1}


def test_a_dataset_with_splits_and_images_is_streamed_as_the_hub_would(tmp_path: Path) -> None:
    """A folder in the hub's layout stands for a repository: the same calls read either."""
    for split, count in (("train", 3), ("test", 2)):
        (tmp_path / "repo" / split).mkdir(parents=True)
        write_lines(
            tmp_path / "repo" / split / "data.jsonl", *({"id": n, "q": {"text": f"{split}{n}"}} for n in range(count))
        )
    source = HubDataset(str(tmp_path / "repo"))
    found = [record.value for record in read_hub(source, name=None, split="test")]
    assert found == [{"id": 0, "q": {"text": "test0"}}, {"id": 1, "q": {"text": "test1"}}]
    with pytest.raises(InputError, match=r"has the splits test, train|has the splits train, test"):
        next(read_hub(source, name=None, split=None))
    with pytest.raises(InputError, match="can not be read"):
        next(read_hub(source, name=None, split="dev"))
    features = datasets.Features({"id": datasets.Value("int64"), "image": datasets.Image()})
    pictures = datasets.Dataset.from_dict(
        {"id": [1], "image": [{"bytes": b"no picture", "path": "a.png"}]}, features=features
    )
    pictures.save_to_disk(str(tmp_path / "pictures"))
    imported(tmp_path / "pictures", tmp_path / "out", "id=id,image=image.bytes")
    assert rows(tmp_path / "out") == [{"id": "1", "image": b"no picture"}]


def test_bytes_do_not_mix_with_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "v": [b"\x00"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [2], "v": ["text"]}), tmp_path / "b.parquet")
    pq.write_table(pa.table({"id": [3], "v": [[b"\x01", b"\x02"]]}), tmp_path / "c.parquet")
    result = imported(tmp_path / "*.parquet", tmp_path / "out", "id=id,v=v")
    assert result.rejected == {"bytes and text mixed": 1}
    assert result.nulls == {"id": 0, "v": 0}, "a row that was not taken is no row"
    assert [row["v"] for row in rows(tmp_path / "out")] == [[b"\x00"], [b"\x01", b"\x02"]]


def test_rows_of_parquet_whose_text_is_no_utf8_cost_only_themselves(tmp_path: Path) -> None:
    texts = pa.Array.from_buffers(pa.string(), 3, pa.array([b"ok", b"\xff", "é".encode()]).buffers())
    pq.write_table(pa.table({"id": [1, 2, 3], "q": texts, "other": ["x", "y", "z"]}), tmp_path / "a.parquet")
    result = imported(tmp_path / "a.parquet", tmp_path / "out", MAP)
    assert [(row["id"], row["prompt"], row["other"]) for row in rows(tmp_path / "out")] == [
        ("1", "ok", "x"),
        ("3", "é", "z"),
    ]
    assert (result.rejected, result.examples["not UTF-8"].place.row) == ({"not UTF-8": 1}, 1)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing.jsonl", "is not there"),
        ("*.nothing", "matches no file"),
        ("folder", "several formats"),
        ("empty", "holds no file that can be imported"),
        ("a.txt", "--format, one of jsonl"),
        ("bad.parquet", "is no Parquet file"),
        ("bad.arrow", "can not be read"),
    ],
)
def test_sources_that_are_none(tmp_path: Path, name: str, told: str) -> None:
    for folder in ("folder", "empty"):
        (tmp_path / folder).mkdir()
    for file in ("folder/a.jsonl", "folder/b.csv", "a.txt", "bad.parquet", "bad.arrow"):
        (tmp_path / file).write_text("hello")
    with pytest.raises(InputError, match=told):
        imported(tmp_path / name, tmp_path / "out", "id=id")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["hf://owner/name", "hf://datasets/owner/name", "owner/name"])
def test_hub_ids(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_source(name) == HubDataset("owner/name")
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").write_text("")
    if name == "owner/name":
        with pytest.raises(InputError, match="--format"):
            find_source(name)


def test_a_look_shows_paths_that_a_mapping_can_use(tmp_path: Path) -> None:
    record = {
        "qid": 3,
        "question": {"text": "é?"},
        "passages": [{"text": "p"}],
        "a.b": 1.5,
        "answers": ["x"],
        "n": None,
    }
    look = look_at(str(write_lines(tmp_path / "a.jsonl", record, b"{")), ReadingOptions())
    assert [(field.path, field.kinds, field.example) for field in look.fields] == [
        ("qid", ("integer",), "3"),
        ("question.text", ("text",), "é?"),
        ("passages[].text", ("list of text",), "p"),
        ("['a.b']", ("number",), "1.5"),
        ("answers[]", ("list of text",), "x"),
        ("n", ("null",), ""),
    ]
    assert (look.records, look.rejected) == (1, 1)
    assert look.mapping == "id=qid,prompt=question.text,context=join(passages[].text),reference=answers[]"
    imported(tmp_path / "a.jsonl", tmp_path / "out", f"{look.mapping},n=['a.b']")
    assert rows(tmp_path / "out")[0]["n"] == 1.5


def test_broken_files_that_people_have(corpora: Path, tmp_path: Path) -> None:
    """The counts of lines are `wc -l`'s, the ragged line the one that its own header contradicts."""
    dirty = corpora / "dirty"
    ragged = imported(
        dirty / "ragged_row.csv", tmp_path / "a", "prompt=src,response=mt,reference=ref", id_from_row=True
    )
    assert (ragged.records, ragged.imported, ragged.rejected) == (3_415, 3_414, {"ragged": 1})
    assert ragged.examples["ragged"].place.line == 1_383
    mark = imported(dirty / "byte_order_mark.csv", tmp_path / "b", "prompt=Question,t=Examples: True", id_from_row=True)
    assert (mark.records, mark.imported, "Category" in mark.columns) == (817, 817, True)
    cut = imported(dirty / "concatenated_objects_truncated.json", tmp_path / "c", "id=question_id,response=text")
    assert (cut.records, cut.imported, cut.rejected) == (1_714, 1_713, {"cut at the end of the file": 1})
    assert cut.examples["cut at the end of the file"].place.line == 1_714
