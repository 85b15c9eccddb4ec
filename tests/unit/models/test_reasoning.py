"""Only the answer is an answer: traces are taken off, counted, and told when they never end."""

import pytest

from halluc_ray.config import CausalSystem, Reasoning
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.protocol import Output
from halluc_ray.models.reasoning import answer_start, opens_trace, take_answer
from halluc_ray.records import Sample
from tests.unit.models.chains import save_chain
from tests.unit.models.conftest import NUMERICS

THOUGHT = ["go", "<think>", "2+2", "is", "4", "</think>", "Four"]
ENDLESS = ["on", "<think>", "a", "b", "c", "d", "e", "f"]
PLAIN = ["no", "Plain", "answer"]
OPENED = ["wait", "hm", "so", "</think>", "Five"]


@pytest.mark.parametrize(
    ("text", "opened", "answer", "thought"),
    [
        ("<think>ab</think> Paris", False, "Paris", 17),
        ("<THINK>ab</THINK>\n\nParis\n", False, "Paris", 17),
        ("ab</think>Paris", True, "Paris", 10),
        ("ab</think>Paris", False, "Paris", 10),
        ("Paris", False, "Paris", 0),
        (" Paris ", False, " Paris ", 0),
        ("It is <think>ab</think> Paris", False, "It is Paris", 17),
        ("<think>a</think><think>b</think>x", False, "x", 32),
        ("<think></think>", False, "", 15),
        ("<scratchpad>a</scratchpad>b", False, "<scratchpad>a</scratchpad>b", 0),
        ("", False, "", 0),
    ],
)
def test_the_answer_and_the_length_of_its_trace(text, opened, answer, thought):
    output = Output(text, finish="stop", num_output_tokens=len(text))
    found = take_answer(output, Reasoning(), opened=opened, tokens_until=lambda characters: characters)
    assert (found.text, found.num_reasoning_tokens, found.failure) == (answer, thought, None)
    assert found.raw_text == (None if answer == text else text)


@pytest.mark.parametrize(
    ("text", "opened"), [("<think>ab", False), ("ab", True), ("x</think>y<think>ab", False), ("", True)]
)
def test_a_trace_that_never_ends_is_no_answer(text, opened):
    output = Output(text, finish="length", num_output_tokens=9)
    found = take_answer(output, Reasoning(), opened=opened)
    assert (found.text, found.failure, found.raw_text, found.num_reasoning_tokens) == (
        None,
        "unclosed_reasoning",
        text,
        None,
    )


@pytest.mark.parametrize(
    ("text", "opened", "answer"), [("<think>ab", False, "ab"), ("ab", True, "ab"), ("x <think> ab", False, "x ab")]
)
def test_or_it_is_the_answer_where_the_spec_says_so(text, opened, answer):
    found = take_answer(Output(text, finish="length"), Reasoning(on_unclosed="answer"), opened=opened)
    assert (found.text, found.failure) == (answer, None)


def test_other_tags():
    reasoning = Reasoning(tags=("scratchpad", "推理"))
    found = take_answer(Output("<推理>a</推理><scratchpad>b</scratchpad>c", finish="stop"), reasoning)
    assert found.text == "c"
    assert opens_trace("…<推理>\n", reasoning)
    assert not opens_trace("<think>", reasoning)
    assert not opens_trace("<推理></推理>", reasoning)


def test_a_stop_string_counts_from_where_the_answer_begins():
    assert answer_start("<think>a", Reasoning()) is None
    assert answer_start("<think>a</think>b", Reasoning()) == 16
    assert answer_start("b", Reasoning()) == 0
    assert answer_start("b", Reasoning(), opened=True) is None


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    return save_chain(tmp_path_factory.mktemp("chain"), THOUGHT, PLAIN)


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    return save_chain(tmp_path_factory.mktemp("endless"), ENDLESS)


def units(folder, *asked: str, reasoning=None, chat: bool = False, **decoding):
    section = {"kind": "causal-lm", "name": "m", "checkpoint": str(folder), "reasoning": reasoning, "chat": chat}
    system = CausalSystem.model_validate(section | {"decoding": {"max_new_tokens": 8, **decoding}})
    model = load_model(system, folder=folder, numerics=NUMERICS, labels={}, threads=1)
    samples = [Sample(k, f"r{k}", {"prompt": text}) for k, text in enumerate(asked)]
    return generate(model, samples=samples, token_budget=64).table.to_pylist()


def test_a_model_that_thinks_is_scored_by_its_answer(chain):
    thought, plain = units(chain, "go", "no", reasoning={})
    assert (thought["text"], thought["raw_text"]) == ("Four", "<think> 2+2 is 4 </think> Four")
    assert (thought["num_output_tokens"], thought["num_reasoning_tokens"], thought["finish"]) == (6, 5, "stop")
    assert (plain["text"], plain["raw_text"], plain["num_reasoning_tokens"]) == ("Plain answer", None, 0)


def test_a_model_that_ends_in_its_trace_fails_with_all_it_wrote(endless):
    [unit] = units(endless, "on", reasoning={})
    assert (unit["text"], unit["failure"], unit["finish"]) == (None, "unclosed_reasoning", "stop")
    assert (unit["raw_text"], unit["num_reasoning_tokens"]) == ("<think> a b c d e f", 7)


def test_without_reasoning_all_is_the_answer(chain):
    [thought] = units(chain, "go")
    assert (thought["text"], thought["raw_text"]) == ("<think> 2+2 is 4 </think> Four", None)
    assert thought["num_reasoning_tokens"] is None


def test_an_answer_that_is_cut_within_its_trace(chain):
    [unit] = units(chain, "go", reasoning={}, max_new_tokens=3)
    assert (unit["failure"], unit["finish"], unit["num_reasoning_tokens"]) == ("unclosed_reasoning", "length", 3)
    [unit] = units(chain, "go", reasoning={"on_unclosed": "answer"}, max_new_tokens=3)
    assert (unit["failure"], unit["text"]) == (None, "2+2 is")


def test_a_stop_string_ends_no_trace(chain):
    [unit] = units(chain, "go", reasoning={}, stop=["is"])
    assert unit["text"] == "Four"
    [unit] = units(chain, "go", stop=["is"])
    assert (unit["text"], unit["num_output_tokens"]) == ("<think> 2+2 ", 3)
    [unit] = units(chain, "no", reasoning={}, stop=["answer"])
    assert unit["text"] == "Plain "


def test_tags_that_are_special_tokens_are_seen(tmp_path):
    folder = save_chain(tmp_path, THOUGHT, special=["<think>", "</think>"])
    [unit] = units(folder, "go", reasoning={})
    assert (unit["text"], unit["num_reasoning_tokens"]) == ("Four", 5)
    [unit] = units(folder, "go")
    assert unit["text"] == "2+2 is 4 Four"


def test_a_trace_that_the_chat_template_opens_is_open(tmp_path):
    folder = save_chain(tmp_path, OPENED, ["<think>", "wait"], chat_template="{{ messages[0]['content'] }} <think>\n")
    [unit] = units(folder, "anything", reasoning={}, chat=True)
    assert (unit["text"], unit["raw_text"]) == ("Five", "wait hm so </think> Five")
    [unit] = units(folder, "anything", reasoning={}, chat=True, max_new_tokens=3)
    assert (unit["text"], unit["failure"]) == (None, "unclosed_reasoning")
