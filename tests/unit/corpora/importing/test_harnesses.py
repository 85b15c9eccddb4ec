"""Samples of other harnesses, in the shapes that their versions write."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.corpora.importing import look_at
from halluc_ray.corpora.importing.reading import ReadingOptions
from tests.unit.corpora.importing.whole import imported, rejected, rows, write_lines

HASHES = {"doc_hash": "d", "prompt_hash": "p", "target_hash": "t"}


def gen_sample(**changes: Any) -> dict[str, Any]:
    """A sample of a task that generates, as the harness logs it now."""
    return {
        "doc_id": 0,
        "doc": {"question": "2+2?", "answer": "4"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": "Q: 2+2?\nA:", "arg_1": {"until": ["\n"], "do_sample": False}}},
        "resps": [[" The answer is 4."]],
        "filtered_resps": ["4"],
        "filter": "strict-match",
        "metrics": ["exact_match"],
        **HASHES,
        "exact_match": 1.0,
    } | changes


def choice_sample(**changes: Any) -> dict[str, Any]:
    """A multiple-choice sample: one request per option."""
    options = [" Paris", " Lyon", " Nice"]
    return {
        "doc_id": 3,
        "doc": {"query": "Capital?"},
        "target": "0",
        "arguments": {f"gen_args_{k}": {"arg_0": "Capital?", "arg_1": text} for k, text in enumerate(options)},
        "resps": [[["-3.5", "False"]], [["-1.25", "True"]], [["-9.0", "False"]]],
        "filtered_resps": [["-3.5", "False"], ["-1.25", "True"], ["-9.0", "False"]],
        "filter": "none",
        "metrics": ["acc"],
        **HASHES,
        "acc": 0.0,
    } | changes


def test_lm_eval_generations_of_several_filters(tmp_path: Path) -> None:
    name = "samples_gsm8k_cot_2025-01-02T03-04-05.678.jsonl"
    flexible = gen_sample(filter="flexible-extract", filtered_resps=["5"], exact_match=0.0)
    write_lines(tmp_path / name, gen_sample(), flexible)
    result = imported(tmp_path / name, tmp_path / "out", "preset lm-eval", keep=frozenset({"doc"}))
    assert result.duplicates.rows == 0
    assert rows(tmp_path / "out") == [
        {
            "id": f"gsm8k_cot/0/{filter}",
            "task": "gsm8k_cot",
            "filter": filter,
            "prompt": "Q: 2+2?\nA:",
            "response": response,
            "raw_response": " The answer is 4.",
            "reference": "4",
            "exact_match": score,
            "doc": '{"question": "2+2?", "answer": "4"}',
        }
        for filter, response, score in (("strict-match", "4", 1.0), ("flexible-extract", "5", 0.0))
    ]


def test_lm_eval_repeated_answers_become_rows(tmp_path: Path) -> None:
    sample = gen_sample(resps=[["a is 4", "b is 5"]], filtered_resps=[["4", "5"]], filter="none")
    write_lines(tmp_path / "samples_math_2025-01-02T03-04-05.jsonl", sample)
    imported(tmp_path / "samples_math_2025-01-02T03-04-05.jsonl", tmp_path / "out", "preset lm-eval", keep="none")
    found = [(row["id"], row["response"], row["raw_response"]) for row in rows(tmp_path / "out")]
    assert found == [("math/0#0", "4", "a is 4"), ("math/0#1", "5", "b is 5")]


@pytest.mark.parametrize(
    ("changes", "response", "reference"),
    [
        ({}, "Lyon", "Paris"),
        ({"target": "2"}, "Lyon", "Nice"),
        ({"target": " Paris"}, "Lyon", " Paris"),
        ({"arguments": [["Capital?", " Paris"], ["Capital?", " Lyon"], ["Capital?", " Nice"]]}, "Lyon", "Paris"),
    ],
)
def test_lm_eval_choices_are_the_most_likely_option(
    tmp_path: Path, changes: dict[str, Any], response: str, reference: str
) -> None:
    write_lines(tmp_path / "s.jsonl", choice_sample(**changes))
    imported(tmp_path / "s.jsonl", tmp_path / "out", "preset lm-eval", keep="none")
    [row] = rows(tmp_path / "out")
    assert (row["id"], row["prompt"], row["response"], row["reference"]) == ("s/3", "Capital?", response, reference)


def options_sample(contexts: list[str], options: list[str], likelihoods: list[float], **changes: Any) -> dict[str, Any]:
    """A sample with a request per context and option."""
    asked = enumerate(zip(contexts, options, strict=True))
    return choice_sample(
        arguments={f"gen_args_{k}": {"arg_0": context, "arg_1": option} for k, (context, option) in asked},
        filtered_resps=[[str(value), "False"] for value in likelihoods],
        **changes,
    )


@pytest.mark.parametrize(
    ("likelihoods", "acc", "response", "reference"),
    [
        ([-8.0, -10.0], 1.0, "Sarah always won.", "Sarah always won."),
        ([-10.0, -8.0], 0.0, "Samuel always won.", "Sarah always won."),
    ],
)
def test_lm_eval_options_that_end_the_context(
    tmp_path: Path, likelihoods: list[float], acc: float, response: str, reference: str
) -> None:
    """WinoGrande: what follows the options is one text, so by it alone every answer would be right."""
    contexts = ["One was a better surgeon so Sarah", "One was a better surgeon so Samuel"]
    sample = options_sample(contexts, [" always won."] * 2, likelihoods, target="always won.", acc=acc)
    write_lines(tmp_path / "s.jsonl", sample)
    imported(tmp_path / "s.jsonl", tmp_path / "out", "preset lm-eval", keep="none")
    [row] = rows(tmp_path / "out")
    assert row["prompt"] == "One was a better surgeon so"
    assert (row["response"], row["reference"]) == (response, reference)


def test_lm_eval_options_asked_again_without_the_context_are_no_answers(tmp_path: Path) -> None:
    """For mutual information; here `no` is likelier on its own than anything in its context."""
    likelihoods = [-5.0, -6.0, -9.0, -2.0]
    sample = options_sample(["Is it?", "Is it?", "", ""], [" yes", " no"] * 2, likelihoods, target="0", acc=1.0)
    write_lines(tmp_path / "s.jsonl", sample)
    imported(tmp_path / "s.jsonl", tmp_path / "out", "preset lm-eval", keep="none")
    [row] = rows(tmp_path / "out")
    assert (row["prompt"], row["response"], row["reference"]) == ("Is it?", "yes", "yes")


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "[0, 1]", "acc": 1.0},
        {"target": "0", "acc": 0.83, "doc": {"mc2_targets": {"choices": ["a", "b", "c"], "labels": [1, 1, 0]}}},
    ],
)
def test_lm_eval_choices_of_which_several_are_right(tmp_path: Path, changes: dict[str, Any]) -> None:
    sample = options_sample(["Q"] * 3, [" a", " b", " c"], [-5.0, -4.0, -6.0], **changes)
    write_lines(tmp_path / "s.jsonl", sample)
    imported(tmp_path / "s.jsonl", tmp_path / "out", "preset lm-eval", keep="none")
    [row] = rows(tmp_path / "out")
    assert (row["response"], row["reference"]) == ("b", ["a", "b"])


@pytest.mark.parametrize(
    ("target", "reference"),
    [
        ("['14 December 1972', \"Dec '72\"]", ["14 December 1972", "Dec '72"]),
        ("[0, 1]", "[0, 1]"),
        ("[a]", "[a]"),
    ],
)
def test_lm_eval_targets_with_several_answers_are_lists(tmp_path: Path, target: str, reference: Any) -> None:
    write_lines(tmp_path / "s.jsonl", gen_sample(target=target, bleu=["said", "wanted"]))
    imported(tmp_path / "s.jsonl", tmp_path / "out", "preset lm-eval", keep="none")
    [row] = rows(tmp_path / "out")
    assert row["reference"] == reference
    assert row["bleu"] == ["said", "wanted"], "a metric that is no number is kept too"


@pytest.mark.parametrize(("acc", "reference"), [(1.0, "1"), (0.0, "0")])
def test_lm_eval_options_that_are_numbers_are_told_apart_by_the_metric(
    tmp_path: Path, acc: float, reference: str
) -> None:
    """Options `1`, `0`: target `1` is the text of the first or the number of the second."""
    arguments = {f"gen_args_{k}": {"arg_0": "?", "arg_1": text} for k, text in enumerate(["1", "0"])}
    likely_first = [["-1", "True"], ["-2", "False"]]
    write_lines(
        tmp_path / "s.jsonl", choice_sample(target="1", arguments=arguments, filtered_resps=likely_first, acc=acc)
    )
    imported(tmp_path / "s.jsonl", tmp_path / "out", "preset lm-eval", keep="none")
    [row] = rows(tmp_path / "out")
    assert (row["response"], row["reference"]) == ("1", reference)


def test_lm_eval_samples_without_an_answer_are_rejected(tmp_path: Path) -> None:
    rolling = gen_sample(arguments={"gen_args_0": {"arg_0": "a text"}}, resps=[["-12.5"]], filtered_resps=["-12.5"])
    others = [gen_sample(filtered_resps=[]), gen_sample(arguments={}), {"doc_id": 1, "question": "x"}]
    write_lines(tmp_path / "s.jsonl", gen_sample(exact_match=float("nan")), rolling, *others)
    result = imported(
        tmp_path / "s.jsonl", tmp_path / "out", "preset lm-eval", keep="none", reading={"nan_as_null": True}
    )
    assert result.rejected == {"no answer": 2, "no request": 1, "no sample of lm-eval": 1}
    assert "rolling" in rejected(tmp_path / "out")[0]["detail"]
    assert (result.rows, result.nan_as_null) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arguments": {"gen_args_0": 5}}, "no request"),
        (
            {"arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " a"}}, "filtered_resps": [["nan", "False"]]},
            "no answer",
        ),
        ({"arguments": [["Q", " a"], ["Q", " b"]], "filtered_resps": [["nan", "True"], ["-1", "True"]]}, "no answer"),
    ],
)
def test_lm_eval_samples_of_odd_shapes_cost_only_themselves(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    odd = gen_sample(target="²", filter=7, arguments=[["Q", " a"], ["Q", " b"]], filtered_resps=[["-1", "True"]] * 2)
    write_lines(tmp_path / "s.jsonl", gen_sample(**changes), odd)
    assert imported(tmp_path / "s.jsonl", tmp_path / "out", "preset lm-eval", keep="none").rejected == {reason: 1}
    assert [(row["id"], row["reference"]) for row in rows(tmp_path / "out")] == [("s/0/7", "²")]


def test_a_field_s_name_that_is_no_text_is_told_like_any_other(tmp_path: Path) -> None:
    write_lines(tmp_path / "s.jsonl", {"half \ud800": 1}, nested(text=["Paris"]))
    imported(tmp_path / "s.jsonl", tmp_path / "out", "preset lighteval", keep="none")
    assert "half \ud800" in rejected(tmp_path / "out")[0]["detail"]


def nested(**said: Any) -> dict[str, Any]:
    """A detail as lighteval saves it now."""
    response = {"input": None, "text": [], "text_post_processed": None, "logprobs": []} | said
    doc = {"query": "Capital?", "choices": [" Paris", " Lyon"], "gold_index": [0], "id": "17", "task_name": "geo|0"}
    return {"doc": doc, "model_response": response, "metric": {"acc": 0, "em": 0.5}}


FILE = "details_geo|0_2025-01-02T03-04-05.678.parquet"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"text": "Lyon, I think"}, [("geo|0/17", "Lyon, I think")]),
        ({"text": ["It is Lyon."]}, [("geo|0/17", "It is Lyon.")]),
        ({"text": ["<think>x</think>Lyon"], "text_post_processed": ["Lyon"]}, [("geo|0/17", "Lyon")]),
        ({"text": ["Lyon", "Paris"]}, [("geo|0/17#0", "Lyon"), ("geo|0/17#1", "Paris")]),
        ({"logprobs": [-3.0, -1.0]}, [("geo|0/17", "Lyon")]),
    ],
)
def test_lighteval_nested_details(tmp_path: Path, said: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    pq.write_table(pa.Table.from_pylist([nested(**said)]), tmp_path / FILE)
    imported(tmp_path / FILE, tmp_path / "out", "preset lighteval", keep="none")
    found = rows(tmp_path / "out")
    assert [(row["id"], row["response"]) for row in found] == expected
    assert {(row["prompt"], row["reference"][0], row["acc"], row["em"]) for row in found} == {
        ("Capital?", "Paris", 0, 0.5)
    }


FLAT = {
    "example": "Capital?",
    "full_prompt": "Q: Capital?",
    "choices": ["Paris", "Lyon"],
    "gold": ["Paris"],
    "gold_index": [0],
    "metrics": {"acc": 1},
}


@pytest.mark.parametrize("predictions", [["Paris!"], [[-0.5, 1.0], [-2.0, 0.0]], [-0.5, -2.0]])
@pytest.mark.parametrize("as_text", [False, True])
def test_lighteval_flat_details(tmp_path: Path, predictions: list[Any], as_text: bool) -> None:
    detail: dict[str, Any] = FLAT | {"predictions": predictions}
    if as_text:
        detail = {name: str(value) for name, value in detail.items()}
    pq.write_table(pa.Table.from_pylist([detail]), tmp_path / FILE)
    imported(tmp_path / FILE, tmp_path / "out", "preset lighteval", keep="none")
    response = "Paris!" if predictions == ["Paris!"] else "Paris"
    assert rows(tmp_path / "out") == [
        {
            "id": "geo|0/0",
            "prompt": "Q: Capital?",
            "reference": ["Paris"],
            "task": "geo|0",
            "response": response,
            "acc": 1,
        }
    ]


def test_the_harness_is_recognised(tmp_path: Path) -> None:
    write_lines(tmp_path / "s.jsonl", gen_sample())
    pq.write_table(pa.Table.from_pylist([nested(text=["x"])]), tmp_path / "d.parquet")
    write_lines(tmp_path / "plain.jsonl", {"id": 1, "doc": "text"})
    found = [look_at(str(tmp_path / name), ReadingOptions()).preset for name in ("s.jsonl", "d.parquet", "plain.jsonl")]
    assert found == ["lm-eval", "lighteval", None]


def test_an_answer_is_data_and_never_code(tmp_path: Path) -> None:
    detail = {name: str(value) for name, value in FLAT.items()} | {"predictions": "[__import__('os').getpid()]"}
    pq.write_table(pa.Table.from_pylist([detail]), tmp_path / FILE)
    imported(tmp_path / FILE, tmp_path / "out", "preset lighteval", keep="none")
    assert rows(tmp_path / "out")[0]["response"] == "[__import__('os').getpid()]"
    assert json.loads((tmp_path / "out" / "_manifest.json").read_text())["map"] == "preset lighteval"
