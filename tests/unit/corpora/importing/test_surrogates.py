"""Halves of surrogate pairs in JSON documents, wherever blocks are cut, held to the standard library's parser."""

import json
import random
from pathlib import Path

import pytest

from halluc_ray.corpora.importing.surrogates import MARK, HalfPairs
from tests.unit.corpora.importing.whole import imported, rejected, rows

PIECES = ["a", "é", r"\ud83d", r"\ude00", r"\uD83D\uDE00", r"\\", r"\n", r"\"", r"\u00e9", "ud83d", r"\\ud83d"]


def marked(document: bytes, size: int) -> bytes:
    halves = HalfPairs()
    blocks = [document[at : at + size] for at in range(0, len(document), size)]
    return b"".join(map(halves.feed, [*blocks, b""]))


@pytest.mark.parametrize("seed", range(40))
def test_halves_are_marked_and_nothing_else_changes(seed: int) -> None:
    noise = random.Random(seed)
    document = json.dumps("x" * noise.randrange(9))[:-1] + "".join(noise.choices(PIECES, k=30)) + '"'
    expected = "".join(MARK if 0xD800 <= ord(letter) < 0xE000 else letter for letter in json.loads(document))
    for size in (1, 2, 5, 6, 7, 11, 13, 4_096):
        assert json.loads(marked(document.encode(), size)) == expected


def test_a_half_costs_its_record_and_is_no_question_mark(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    filler = "," + json.dumps({"id": "filler", "q": "\N{GRINNING FACE}" * 30_000})
    source.write_text(
        r'[{"id":1,"q":"cut \ud83d"},{"id":2,"q":"\ude00x"},{"id":3,"q":"\ud83d\ude00 \\ud83d"},{"id":4,"k\ud800":"x"}'
        + filler
        + "]"
    )
    result = imported(source, tmp_path / "out", "id=id,prompt=q")
    assert result.rejected == {"half a surrogate pair": 3}
    assert [line["row"] for line in rejected(tmp_path / "out")] == [0, 1, 3]
    assert rows(tmp_path / "out") == [
        {"id": "3", "prompt": "\N{GRINNING FACE} \\ud83d"},
        {"id": "filler", "prompt": "\N{GRINNING FACE}" * 30_000},
    ]
