"""No text makes a reader slow: repetitive input costs little more than its length."""

import time

import pytest

from halluc_ray.text.normalization import normalize_chinese
from halluc_ray.text.numerals import find_numerals
from halluc_ray.text.readings import read_yes_no
from halluc_ray.text.refusals import is_refusal
from halluc_ray.text.traces import blank_traces

UNITS = [
    "sorry ",
    "I'm sorry, but ",
    "based on the a ",
    "in the ",
    "as an ai in the ",
    "well honestly ",
    "抱歉，但目前",
    "根据",
    "-",
    "<think>",
    "</think>",
    "1,",
    "12,",
    "123,",
    "1.234",
    "1",
    "three hundred and ",
    "one and ",
    "a-",
    "三分之",
    "三",
    "一万",
    "\n",
    "\n *",
    "I don't know, but I ",
    "point ",
    "x",
    "ab-",
    "USD",
]


@pytest.mark.parametrize("unit", UNITS)
def test_repetition_stays_cheap(unit: str) -> None:
    text = unit * (20_000 // len(unit))
    started = time.perf_counter()
    for read in (is_refusal, read_yes_no, blank_traces, normalize_chinese, find_numerals):
        read(text)
    assert time.perf_counter() - started < 4
