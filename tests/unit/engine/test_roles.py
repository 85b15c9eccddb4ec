"""Column types of real Parquet files as roles: each gives the texts that its plain form gives."""

import pyarrow as pa
import pytest

from halluc_ray.engine.roles import ROLE_NEEDS, ColumnUse, to_answers, to_texts
from halluc_ray.errors import SpecError

WORDS = ["Paris", None, "巴黎", ""]
BYTES = [None if word is None else word.encode() for word in WORDS]


@pytest.mark.parametrize(
    "array",
    [
        pa.array(WORDS),
        pa.array(WORDS, pa.large_string()),
        pa.array(WORDS, pa.string_view()),
        pa.array(WORDS).dictionary_encode(),
        pa.array(WORDS, pa.large_string()).dictionary_encode(),
        pa.array(BYTES, pa.binary()),
        pa.array(BYTES, pa.large_binary()),
        pa.array(BYTES, pa.binary_view()),
        pa.array(BYTES).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_every_kind_of_text_is_the_same_text(array):
    for piece in (array, array[1:]):
        found = to_texts(piece)
        assert found.values.type == pa.string()
        assert found.values.to_pylist() == WORDS[len(WORDS) - len(piece) :]
        assert not any(found.undecodable.to_pylist())
    assert to_answers(array).values.to_pylist() == [["Paris"], None, ["巴黎"], [""]]


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array([b"ab", None, b"cd"], pa.binary(2)), ["ab", None, "cd"]),
        (pa.array([True, None, False]), ["true", None, "false"]),
        (pa.array([-1, None, 2**63], pa.decimal128(20)).cast(pa.int64(), safe=False)[:2], ["-1", None]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.nulls(2), [None, None]),
        (pa.array([], pa.string_view()), []),
        (pa.array([], pa.binary()), []),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_codes_are_written_out(array, texts):
    assert to_texts(array).values.to_pylist() == texts


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(2)])
def test_bytes_that_are_no_utf8_are_marked_one_by_one(kind):
    found = to_texts(pa.array([b"ok", b"\xff\xfe", None], kind))
    assert found.values.to_pylist() == ["ok", None, None]
    assert found.undecodable.to_pylist() == [False, True, False]


LISTS = [["a", None, "b"], None, [], [None], ["巴黎"]]


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string()), pa.list_(pa.string_view())])
def test_lists_of_answers(kind):
    array = pa.array(LISTS, kind)
    for start in range(len(LISTS) + 1):
        wanted = [["a", "b"], None, None, None, ["巴黎"]][start:]
        assert to_answers(array[start:]).values.to_pylist() == wanted


def test_lists_of_codes_bytes_and_nulls():
    assert to_answers(pa.array([[1, None], None], pa.list_(pa.int8()))).values.to_pylist() == [["1"], None]
    assert to_answers(pa.array([[True, False]])).values.to_pylist() == [["true", "false"]]
    assert to_answers(pa.array([[], None, [None]], pa.list_(pa.null()))).values.to_pylist() == [None, None, None]
    assert to_answers(pa.nulls(2)).values.to_pylist() == [None, None]


def test_a_list_of_fixed_size_may_be_null():
    array = pa.array([["a", None], None, ["b", "c"]], pa.list_(pa.string(), 2))
    assert to_answers(array).values.to_pylist() == [["a"], None, ["b", "c"]]
    assert to_answers(array[1:]).values.to_pylist() == [None, ["b", "c"]]


def test_a_list_with_undecodable_bytes_is_no_reference():
    found = to_answers(pa.array([[b"ok", b"\xff"], [b"ok"], None, []], pa.list_(pa.binary())))
    assert found.values.to_pylist() == [None, ["ok"], None, None]
    assert found.undecodable.to_pylist() == [True, False, False, False]


def allowed(role, kind):
    try:
        ColumnUse(f"corpus.columns.{role}", "c", ROLE_NEEDS[role]).check(pa.schema([("c", kind)]), "f.parquet")
    except SpecError:
        return False
    return True


def test_a_type_that_can_not_serve_is_named():
    use = ColumnUse("corpus.columns.prompt", "c", ROLE_NEEDS["prompt"])
    with pytest.raises(SpecError, match=r"corpus.columns.prompt: column 'c' holds float in f.parquet; it must hold te"):
        use.check(pa.schema([("c", pa.float32())]), "f.parquet")


WORDED = set(ROLE_NEEDS)
TURNS = pa.struct([("role", pa.string()), ("content", pa.string()), ("name", pa.string())])
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize(
    ("kind", "roles"),
    [
        (pa.string_view(), WORDED),
        (pa.dictionary(pa.int8(), pa.string()), WORDED),
        (pa.int32(), {"id", "reference", "options", "label"}),
        (pa.bool_(), {"id", "reference", "options", "label"}),
        (pa.float64(), {"label"}),
        (pa.timestamp("s"), set()),
        (pa.list_(pa.string()), {"context", "image", "options", "reference"}),
        (pa.list_(pa.null()), {"context", "options", "reference"}),
        (pa.list_(pa.float32()), set()),
        (pa.struct([("a", pa.string())]), set()),
        (pa.list_(TURNS), {"messages"}),
        (pa.list_(pa.struct([("role", pa.string())])), set()),
        (IMAGE, {"image"}),
        (pa.list_(IMAGE), {"image"}),
        (pa.list_(pa.list_(pa.binary())), set()),
        (pa.null(), WORDED),
    ],
    ids=str,
)
def test_which_types_may_play_which_role(kind, roles):
    assert {role for role in ROLE_NEEDS if allowed(role, kind)} == roles
