"""Thoughts are not answers, and offsets survive their removal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halluc_ray.text.traces import blank_traces, strip_traces


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a</think>b", "b"),
        ("<THINK>\na\n</THINK>\n b ", "b"),
        ("opened in the prompt</think>Paris", "Paris"),
        ("<think>never closed", ""),
        ("1 < 2 and no trace", "1 < 2 and no trace"),
        ("<think>one</think>mid<think>two", "mid"),
    ],
)
def test_only_the_answer_is_left(text: str, answer: str) -> None:
    assert strip_traces(text) == answer


@given(st.text(alphabet="ab 1<>/think\n"), st.text(alphabet="ab <>"))
def test_offsets_stay(before: str, after: str) -> None:
    text = f"{before}<think>{after}</think>tail"
    blanked = blank_traces(text)
    assert len(blanked) == len(text)
    assert all(was == now or now == " " for was, now in zip(text, blanked, strict=True))
