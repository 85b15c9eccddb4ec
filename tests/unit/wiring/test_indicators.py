"""Options of indicators: each wrong one is named with its key path and what is allowed."""

import pytest

from halluc_ray.config import IndicatorSpec
from halluc_ray.errors import SpecError
from halluc_ray.wiring.indicators import wire_indicators


def wire(*entries):
    return wire_indicators([IndicatorSpec.model_validate(entry) for entry in entries])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"kind": "answer_mismatch", "mode": "exactly"}, ["indicators[1].mode", "exactly", "contains"]),
        ({"kind": "answer_mismatch", "mod": "exact"}, ["indicators[1].mod", "mode"]),
        ({"kind": "unsupported_number", "at": 0}, ["indicators[1].at", "0"]),
        ({"kind": "recorded_score"}, ["indicators[1]", "column"]),
        ({"kind": "answer_mismach"}, ["indicators[1].kind", "'answer_mismach'", "answer_mismatch"]),
    ],
)
def test_what_is_wrong_is_named(entry, said):
    with pytest.raises(SpecError) as caught:
        wire({"kind": "label_mismatch"}, entry)
    assert all(words in str(caught.value) for words in said), str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_everything_wrong_is_in_one_error():
    with pytest.raises(SpecError) as caught:
        wire({"kind": "nothing"}, {"kind": "answer_mismatch", "mode": "x", "languag": "en"})
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    paths = [line.split(":")[0].split(" ")[0] for line in lines]
    assert sorted(paths) == ["indicators[0].kind", "indicators[1].languag", "indicators[1].mode"]


def test_thresholds_and_options_part_and_defaults_are_left_out():
    [plain, strict] = wire({"kind": "unsupported_number"}, {"kind": "unsupported_number", "name": "s", "at": 3})
    assert (plain.scored_options, plain.thresholds) == ({}, {})
    assert (strict.scored_options, strict.thresholds) == ({}, {"at": 3})
    spelled_out = {"kind": "answer_mismatch", "name": "b", "mode": "exact"}
    [contains, spelled] = wire({"kind": "answer_mismatch", "mode": "contains"}, spelled_out)
    assert contains.scored_options == {"mode": "contains"}
    assert spelled.scored_options == {}
    assert (contains.name, spelled.name) == ("answer_mismatch", "b")


def test_what_concerns_a_whole_indicator_is_said_of_its_place():
    with pytest.raises(SpecError, match=r"^indicators\[0\]: set exactly one of `below`"):
        wire({"kind": "recorded_score", "column": "x"})
