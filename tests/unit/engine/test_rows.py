"""Rows of a shard are the rows that pyarrow reads from the file, whatever the cut and the types."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.config import Columns, Corpus, parse_condition
from halluc_ray.engine.row_reader import RowReader, within_capacity
from halluc_ray.engine.selection import Selection
from halluc_ray.engine.shards import cut, shard_of
from halluc_ray.errors import BadRow, InputChanged, InputError
from halluc_ray.records import ShardSource
from halluc_ray.storage.files import list_files
from tests.unit.engine.whole import write

N = 23
TABLE = pa.table(
    {
        "id": [f"r{k}" for k in range(N)],
        "a": [k * 10 for k in range(N)],
        "a.b": [f"dotted {k}" for k in range(N)],
        "view": pa.array([None if k % 4 == 0 else f"v{k}" for k in range(N)], pa.string_view()),
        "bytes_view": pa.array([b"\xff" if k == 3 else f"b{k}".encode() for k in range(N)], pa.binary_view()),
        "coded": pa.array([f"c{k % 2}" for k in range(N)]).dictionary_encode(),
        "answers": [[str(k), None, f"{k}.0"] if k % 5 else None for k in range(N)],
        "day": pa.array(range(N), pa.date32()),
    }
)


@pytest.fixture
def reader(tmp_path):
    def make(table=TABLE, *, group_rows=5, where=None, **columns):
        path = write(tmp_path / "corpus.parquet", table, group_rows=group_rows)
        [file] = list_files(str(path))
        corpus = Corpus(uri=str(path), columns=Columns(**columns))
        selection = Selection(parse_condition(where) if where else None)
        return RowReader({"f" * 64: file}, corpus=corpus, selection=selection), pq.ParquetFile(path)

    return make


def shards(parquet, shard_rows):
    metadata = parquet.metadata
    groups = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
    return [shard_of(source, {}) for source in cut("f" * 64, groups, shard_rows=shard_rows)]


@pytest.mark.parametrize("shard_rows", [1, 2, 5, 7, 11, 100])
def test_any_cut_reads_what_pyarrow_reads(reader, shard_rows):
    rows, parquet = reader(id="id", prompt="view", reference="answers")
    found = [rows.read(shard, columns=set(TABLE.column_names)) for shard in shards(parquet, shard_rows)]
    table = pa.concat_tables([one.table.select(TABLE.column_names) for one in found])
    assert table.to_pylist() == parquet.read().to_pylist() == TABLE.to_pylist()
    assert [text for one in found for text in one.roles["prompt"].to_pylist()] == TABLE["view"].to_pylist()
    wanted = [None if answers is None else [a for a in answers if a] for answers in TABLE["answers"].to_pylist()]
    assert [a for one in found for a in one.roles["reference"].to_pylist()] == wanted
    assert [list(one.rows) for one in found] == [list(range(one.shard.source.num_rows)) for one in found]


def test_a_column_and_one_with_its_name_and_a_dot(reader):
    rows, parquet = reader(where='"a" < 100 AND "a.b" != \'dotted 2\'', id="id")
    [shard] = shards(parquet, 100)
    assert rows.read(shard, columns=()).ids.to_pylist() == [f"r{k}" for k in range(10) if k != 2]
    rows, _ = reader(where="a < 30", prompt="a.b")
    assert rows.read(shard, columns={"a.b"}).roles["prompt"].to_pylist() == ["dotted 0", "dotted 1", "dotted 2"]


def test_decoded_columns_are_kept_and_not_mixed(reader):
    rows, parquet = reader(id="id")
    first, second, *_ = shards(parquet, 3)
    assert first.source.group_start == second.source.group_start
    assert rows.read(first, columns={"a"}).table["a"].to_pylist() == [0, 10, 20]
    assert rows.read(second, columns={"coded"}).table.column_names == ["id", "coded"]
    assert rows.read(second, columns={"a"}).table["a"].to_pylist() == [30, 40]
    assert rows.read(first, columns={"a", "coded"}).table["coded"].to_pylist() == ["c0", "c1", "c0"]


def test_ids_are_places_where_there_are_none(reader):
    rows, parquet = reader(pa.table({"id": ["x", None, "y", None, "z"], "n": range(5)}), group_rows=2, id="id")
    by_cut = [
        [i for shard in shards(parquet, size) for i in rows.read(shard, columns=()).ids.to_pylist()] for size in (1, 3)
    ]
    place = "f" * 16
    assert by_cut == [["x", f"{place}:1", "y", f"{place}:3", "z"]] * 2
    rows, _ = reader(pa.table({"n": range(5)}), group_rows=2)
    found = [i for shard in shards(parquet, 2) for i in rows.read(shard, columns=()).ids.to_pylist()]
    assert found == [f"{place}:{k}" for k in range(5)]


def test_a_row_without_an_id_fails_what_reads_ids(reader):
    read, parquet = reader(pa.table({"id": ["a", None], "prompt": ["p", "q"]}), id="id", prompt="prompt")
    rows = read.read(shards(parquet, 10)[0], columns={"prompt"})
    assert rows.failures({"id", "prompt"}) == [None, "null_id"]
    assert rows.failures({"prompt"}) == [None, None]
    assert rows.ids.to_pylist() == ["a", "f" * 16 + ":1"]


def test_no_row_left_reads_no_other_column(reader):
    rows, parquet = reader(where="a < 0", id="id", prompt="view", reference="answers")
    found = rows.read(shards(parquet, 100)[0], columns={"view", "answers", "day"})
    assert (len(found), found.counts["where"], found.counts["corpus"]) == (0, N, N)
    assert found.table.schema.field("day").type == pa.date32()
    assert found.roles["reference"].to_pylist() == found.failures(["prompt", "reference"]) == []


def test_bad_rows_are_named(reader):
    rows, parquet = reader(id="id", prompt="view", context="bytes_view")
    found = rows.read(shards(parquet, 100)[0], columns={"view", "bytes_view"})
    reasons = found.failures({"prompt", "context"})
    wanted = ["undecodable_context" if k == 3 else "null_prompt" if k % 4 == 0 else None for k in range(N)]
    assert reasons == wanted
    with pytest.raises(BadRow, match=r"row groups 0-4, rows 0-22: column 'v' has 6 null value\(s\) \(rows 0, 4, 8"):
        found.refuse_bad(reasons, {"prompt": "v"})


def test_a_damaged_column_chunk_is_located(reader, tmp_path):
    rows, parquet = reader(id="id")
    chunk = parquet.metadata.row_group(1).column(1)
    path = tmp_path / "corpus.parquet"
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    damaged = tmp_path / "damaged" / "corpus.parquet"
    damaged.parent.mkdir()
    damaged.write_bytes(data)
    [file] = list_files(str(damaged))
    rows = RowReader({"f" * 64: file}, corpus=Corpus(uri=str(damaged)), selection=Selection())
    with pytest.raises(InputError, match=r"row group 1, column 'a' can't be decoded"):
        rows.read(shard_of(ShardSource("f" * 64, 1, 2, 0, 5), {}), columns={"a"})


def test_a_file_that_changes_stops_the_reader(reader, tmp_path):
    rows, parquet = reader(id="id")
    write(tmp_path / "corpus.parquet", TABLE.slice(0, 3))
    with pytest.raises(InputChanged):
        rows.read(shards(parquet, 100)[0], columns={"a"})


def test_a_file_overwritten_in_place_is_changed_and_not_damaged(reader, tmp_path):
    rows, parquet = reader(id="id")
    first, second = shards(parquet, 5)[:2]
    rows.read(first, columns={"a"})
    with (tmp_path / "corpus.parquet").open("r+b") as file:
        file.write(b"PAR1" + b"\xff" * 4_000)
    with pytest.raises(InputChanged):
        rows.read(second, columns={"a"})


def test_rows_left_out_by_where_keep_their_offsets(reader):
    rows, parquet = reader(where="a >= 30 AND a < 70", id="id")
    found = [rows.read(shard, columns={"a"}) for shard in shards(parquet, 5)]
    assert [list(one.rows) for one in found[:2]] == [[3, 4], [0, 1]]
    assert np.concatenate([one.table["a"].to_numpy() for one in found]).tolist() == [30, 40, 50, 60]


def test_texts_beyond_what_a_column_holds_say_what_to_do():
    huge = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, 2**30], np.int32)), pa.py_buffer(bytearray(2**30)))
    with (
        pytest.raises(InputError, match=r"a\.parquet.*9 texts pass 2 GiB.*engine\.shard_rows.*1"),
        within_capacity("a.parquet: row group 0", num_rows=9),
    ):
        pa.chunked_array([huge, huge, huge]).combine_chunks()
