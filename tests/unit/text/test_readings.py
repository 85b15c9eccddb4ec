"""Yes and no, by hand."""

import pytest

from halluc_ray.text.readings import read_yes_no

YES = [
    "Yes",
    "yes.",
    "Yes, there is a dog.",
    "Yes it is",
    "The answer is yes.",
    "Answer: Yes",
    "True",
    "That is correct.",
    "It's true that it floats.",
    "Of course!",
    "**Yes**",
    "是的，他是。",
    "是",
    "对。",
    "答案是：是",
    "<think>no</think>Yes",
]
NO = [
    "No",
    "no.",
    "No, there is not.",
    "No it isn't",
    "The answer is no",
    "False.",
    "That is not true",
    "不是。",
    "否",
    "没有",
    "不，他没有。",
    "The statement is false.",
    "Not at all.",
]
NEITHER = [
    "",
    "Paris",
    "No one knows.",
    "No evidence exists.",
    "Yesterday",
    "Nope-free",
    "Yes and no",
    "是北京",
    "不丹",
    "不是北京",
    "True North is a band",
    "Right angles are 90 degrees",
]


@pytest.mark.parametrize(("texts", "said"), [(YES, True), (NO, False), (NEITHER, None)], ids=["yes", "no", "neither"])
def test_opening_words(texts: list[str], said: bool | None) -> None:
    assert {text: read_yes_no(text) for text in texts} == dict.fromkeys(texts, said)
