"""Conversations and passages of real columns: the same turns and texts whatever the storage."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.engine.conversations import to_turns
from halluc_ray.engine.roles import to_words

TALK = [
    [{"role": "user", "content": "首都？"}, {"role": "assistant", "content": ""}],
    None,
    [{"role": "system", "content": "x"}],
]
WITH_NAMES = pa.struct([("content", pa.string()), ("name", pa.string()), ("role", pa.string())])


@pytest.mark.parametrize(
    "array",
    [
        pa.array(TALK),
        pa.array([turns and [{**turn, "name": None} for turn in turns] for turns in TALK], pa.list_(WITH_NAMES)),
        pa.array(TALK, pa.list_(pa.struct([("role", pa.binary()), ("content", pa.large_binary())]))),
        pa.array(TALK, pa.large_list(pa.struct([("role", pa.large_string()), ("content", pa.string_view())]))),
        pa.array([None if turns is None else json.dumps(turns) for turns in TALK]),
        pa.array([None if turns is None else json.dumps(turns, ensure_ascii=False).encode() for turns in TALK]),
        pa.array([None if turns is None else json.dumps(turns) for turns in TALK]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type)[:30],
)
def test_every_storage_of_a_conversation_is_the_same(array):
    for piece in (array, array[1:]):
        found = to_turns(piece)
        assert found.values.to_pylist() == TALK[len(TALK) - len(piece) :]
        assert not any(found.undecodable.to_pylist())


@pytest.mark.parametrize(
    "text",
    [
        "", "Hi", "null", "[]", "{}", '"Hi"', "[1]", "[[]]", '[{"role": "user"}]',
        '[{"role": "user", "content": null}]', '[{"role": 1, "content": "a"}]',
        '[{"role": "user", "content": [{"type": "text", "text": "a"}]}]',
        '[{"role": "user", "content": "a"}', "NaN", "[" * 100_000,
    ],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_what_is_no_conversation_is_marked(text):
    found = to_turns(pa.array([text, json.dumps(TALK[0])]))
    assert found.values.to_pylist() == [None, TALK[0]]
    assert found.undecodable.to_pylist() == [True, False]


def test_bytes_that_are_no_utf8_are_marked():
    kind = pa.list_(pa.struct([("role", pa.binary()), ("content", pa.binary())]))
    found = to_turns(pa.array([[{"role": b"user", "content": b"\xff"}], [{"role": b"user", "content": b"a"}]], kind))
    assert found.undecodable.to_pylist() == [True, False]


def test_turns_that_are_null_inside_a_list_are_marked():
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    found = to_turns(pa.array([[None], [{"role": "user", "content": None}], []], kind))
    assert found.undecodable.to_pylist() == [True, True, True]


def test_half_a_surrogate_pair_is_no_text():
    found = to_turns(pa.array(['[{"role": "user", "content": "\\ud83d"}]']))
    assert (found.values.to_pylist(), found.undecodable.to_pylist()) == ([None], [True])


def test_passages_are_joined_by_an_empty_line(tmp_path):
    column = pa.array([["one", None, "二"], [], None, ["x"], [None]])
    pq.write_table(pa.table({"c": column}), tmp_path / "c.parquet")
    for array in (column, pq.read_table(tmp_path / "c.parquet")["c"].combine_chunks()):
        assert to_words(array).values.to_pylist() == ["one\n\n二", None, None, "x", None]
    assert to_words(pa.array([1.5, None, 2])).values.to_pylist() == ["1.5", None, "2"]
