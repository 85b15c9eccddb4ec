"""The mapping language: what each expression makes of a record, and what is no expression."""

from typing import Any

import pytest

from halluc_ray.corpora.importing.mapping import parse_mapping
from halluc_ray.corpora.importing.paths import MISSING
from halluc_ray.corpora.importing.records import Place, Record, RowProblem
from halluc_ray.errors import SpecError

RECORD = {
    "qid": 7,
    "question": {"text": "Wer?", "Best Answer": "ich", "a,b": 1, "it's": 2},
    "passages": [{"text": "one", "scores": [1, 2]}, {"title": "no text"}, {"text": "three", "scores": [3]}],
    "answers": ["Paris", None, "Lutetia"],
    "empty": [],
    "nothing": None,
    "number": "12",
    "flag": True,
}


def value(expression: str) -> Any:
    [(values, position)] = parse_mapping([f"x={expression}"]).rows(Record(Place("f", 0), RECORD))
    assert position is None
    return values["x"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("qid", 7),
        ("question.text", "Wer?"),
        ("question.Best Answer", "ich"),
        ("question['a,b']", 1),
        ("""question["it's"]""", 2),
        ("['question'].text", "Wer?"),
        ("passages[].text", ["one", None, "three"]),
        ("passages[*].text", ["one", None, "three"]),
        ("passages[].scores[]", [1, 2, None, 3]),
        ("passages[0].text", "one"),
        ("passages[-1].scores[0]", 3),
        ("passages[9].text", MISSING),
        ("passages[].nowhere", MISSING),
        ("answers[]", ["Paris", None, "Lutetia"]),
        ("answers", ["Paris", None, "Lutetia"]),
        ("empty[]", []),
        ("nothing.deeper", None),
        ("nowhere", MISSING),
        ("'en'", "en"),
        ('"a, b)"', "a, b)"),
        ("3", 3),
        ("-0.5", -0.5),
        ("join(passages[].text)", "one\n\nthree"),
        ("join(answers[], ' / ')", "Paris / Lutetia"),
        ("join(question.text, ' ')", "Wer?"),
        ("join(nowhere)", MISSING),
        ("first(nowhere, nothing, number)", "12"),
        ("first(nowhere, 'none')", "none"),
        ("first(nowhere, nothing)", None),
        ("int(number)", 12),
        ("float(number)", 12.0),
        ("text(qid)", "7"),
        ("bool(flag)", True),
        ("int(passages[0].scores)", [1, 2]),
        ("json(passages[0])", '{"text": "one", "scores": [1, 2]}'),
        ("first(int(nowhere), 4)", 4),
    ],
)
def test_an_expression_is_what_it_says(expression: str, expected: Any) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("number.text", "number is not an object"),
        ("question[0]", "question is not a list"),
        ("qid[]", "qid is not a list"),
        ("int(question.text)", "not an integer"),
        ("float(flag.x)", "flag is not an object"),
        ("float(question.text)", "not a number"),
        ("bool(number)", "neither true nor false"),
    ],
)
def test_a_value_of_another_kind_is_a_problem_of_the_row(expression: str, reason: str) -> None:
    with pytest.raises(RowProblem, match=reason):
        value(expression)


def test_exploded_lists_go_side_by_side() -> None:
    mapping = parse_mapping(["id=qid,answer=explode(answers[])", "number=explode(text(passages[].text)),lang='en'"])
    assert list(mapping.rows(Record(Place("f", 0), RECORD))) == [
        ({"id": 7, "answer": "Paris", "number": "one", "lang": "en"}, 0),
        ({"id": 7, "answer": None, "number": None, "lang": "en"}, 1),
        ({"id": 7, "answer": "Lutetia", "number": "three", "lang": "en"}, 2),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a=explode(answers[]),b=explode(passages[].scores[])", "differ in length"),
        ("a=explode(empty[])", "nothing to explode"),
        ("a=explode(nothing)", "nothing to explode"),
        ("a=explode(number)", "no list to explode"),
    ],
)
def test_what_can_not_be_exploded(text: str, reason: str) -> None:
    with pytest.raises(RowProblem, match=reason):
        list(parse_mapping([text]).rows(Record(Place("f", 0), RECORD)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "column=expression"),
        ("id", "column=expression"),
        ("id=", "is no path"),
        ("id=a..b", "a key should follow the dot"),
        ("id=a.", "a key should follow the dot"),
        ("id=a,id=b", "mapped twice"),
        ("id=eval(a)", "no function 'eval'; there are join, first"),
        ("id=join(a", r"'\)' is missing"),
        ("id=join(a, b)", "separator in quotes"),
        ("id=join(a, 5)", "separator in quotes"),
        ("id=int(a, b)", "takes one path, not 2"),
        ("id=join(explode(a))", "outermost"),
        ("id=a)", "left over"),
        ("id=[", "is no path"),
        ("id=__import__('os')", "left over|no path"),
    ],
)
def test_what_is_no_mapping_is_refused_with_the_place(text: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        parse_mapping([text])
