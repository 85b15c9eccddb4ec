import io

import pyarrow as pa
import pyarrow.parquet as pq

from halluc_ray.records.schemas import COUNTS, GENERATIONS, SCORES
from halluc_ray.storage.parquet import decode, encode

TABLE = pa.table(
    {"a": [1, 2, 3, 4], "b": ["x", None, "z", "x"], "c": pa.array(["u", "v", "u", None]).dictionary_encode()}
)


def test_what_is_encoded_is_decoded() -> None:
    assert decode(encode(TABLE)).equals(TABLE)
    assert pq.read_table(io.BytesIO(encode(TABLE))).equals(TABLE)


def test_bytes_do_not_depend_on_chunks() -> None:
    chunked = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 2), TABLE.slice(3)])
    assert chunked.column("a").num_chunks == 3
    assert encode(chunked) == encode(TABLE) == encode(pa.Table.from_batches(TABLE.to_batches()))


def test_columns_come_in_the_order_asked_for() -> None:
    assert decode(encode(TABLE), ["b", "a"]).column_names == ["b", "a"]


def test_schemas_survive_with_no_rows() -> None:
    for schema in (GENERATIONS, SCORES, COUNTS):
        assert decode(encode(schema.empty_table())).schema == schema
