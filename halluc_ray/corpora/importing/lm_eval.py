"""Samples that lm-evaluation-harness logs (`samples_TASK_DATE.jsonl`, --log_samples), as corpus rows.

The harness writes one line per document and filter: `arguments` (`gen_args_0.arg_0` is the prompt; older
versions a list of lists), `resps`, `filtered_resps` (what was scored), `target` as text, and a column per
metric. A multiple-choice sample has one request per option, each answered by (log-likelihood, is greedy).
Caller: `presets`.

Reference: EleutherAI/lm-evaluation-harness, lm_eval/evaluator.py and loggers/evaluation_tracker.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from halluc_ray.corpora.importing.lm_eval_choices import choice_of, reference_of
from halluc_ray.corpora.importing.records import Record, RowProblem

_FILE = re.compile(r"samples_(?P<task>.+?)_\d{4}-\d\d-\d\dT")
_OWN = frozenset(
    {
        *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics"),
        *("doc_hash", "prompt_hash", "target_hash"),
    }
)
_NEEDED = frozenset({"doc_id", "target", "arguments", "resps", "filtered_resps"})


def is_lm_eval(record: Mapping[str, Any]) -> bool:
    """Whether a record has the shape of a logged sample."""
    return record.keys() >= _NEEDED


class LmEvalSamples:
    """Mapper of logged samples: id, task, prompt, response, raw_response, reference, filter and the metrics."""

    names = ("id", "prompt", "response", "reference")
    fields = _OWN
    touched = fields

    def rows(self, record: Record) -> Iterator[tuple[dict[str, Any], int | None]]:
        """One row per sample; one per answer where the sample was answered several times.

        Raises:
            RowProblem: not the shape of a sample, or one that holds no answer.
        """
        sample = record.value
        if not is_lm_eval(sample):
            raise RowProblem("no sample of lm-eval", f"it lacks {', '.join(sorted(_NEEDED - sample.keys()))}")
        requests = _requests(sample["arguments"])
        task = _task(record)
        filter = sample.get("filter")
        named = [task, str(sample["doc_id"]), "" if filter in (None, "none") else str(filter)]
        values: dict[str, Any] = {"id": "/".join(part for part in named if part), "task": task, "filter": filter}
        filtered, target = sample["filtered_resps"], _listed(sample["target"])
        if not isinstance(filtered, list) or not filtered:
            raise RowProblem("no answer", "`filtered_resps` is empty")
        answers: list[tuple[Any, Any]]
        if choice := choice_of(requests, filtered):
            values["prompt"], answers = choice.prompt, [(choice.answer, None)]
            reference = reference_of(choice, target, sample)
        else:
            values["prompt"], answers = requests[0][0], _answers(sample, requests)
            reference = target if _are_texts(target) else sample["target"]
        for position, (answer, raw) in enumerate(answers):
            row = values | {"response": answer, "raw_response": raw, "reference": reference}
            metrics = {f"metric_{name}" if name in row else name: sample[name] for name in sample if name not in _OWN}
            yield row | metrics, position if len(answers) > 1 else None


def _requests(arguments: Any) -> list[list[Any]]:
    """Per request, its arguments in order."""
    if isinstance(arguments, Mapping):
        arguments = [arguments[name] for name in sorted(arguments, key=_number)]
    if isinstance(arguments, list):
        arguments = [
            [one[name] for name in sorted(one, key=_number)] if isinstance(one, Mapping) else one for one in arguments
        ]
    if not isinstance(arguments, list) or not arguments or not all(isinstance(one, list) and one for one in arguments):
        raise RowProblem("no request", "`arguments` holds no request, so there is no prompt")
    return arguments


def _number(name: str) -> int:
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


def _answers(sample: Mapping[str, Any], requests: list[list[Any]]) -> list[tuple[Any, Any]]:
    """What was scored and what the model said, per draw."""
    if len(requests[0]) == 1:
        raise RowProblem("no answer", "a rolling log-likelihood says how likely a text is; the model answered nothing")
    first, raw = sample["filtered_resps"][0], _first(sample["resps"])
    if not isinstance(first, list):
        return [(first, _first(raw))]
    raws = raw if isinstance(raw, list) and len(raw) == len(first) else [None] * len(first)
    if not first:
        raise RowProblem("no answer", "`filtered_resps` holds an empty list")
    return list(zip(first, raws, strict=True))


def _listed(target: Any) -> Any:
    """The list of answers, or of options' numbers, whose Python text was logged; any other target as it is."""
    if not isinstance(target, str) or not (target.startswith("[") and target.endswith("]")):
        return target
    try:
        return ast.literal_eval(target)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return target


def _are_texts(values: Any) -> bool:
    """Whether it is a list of answers; one of numbers may be an answer itself, such as `[0, 1]`."""
    return isinstance(values, list) and bool(values) and all(isinstance(one, str) for one in values)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _task(record: Record) -> str:
    match = _FILE.search(PurePosixPath(record.place.file).name)
    return match["task"] if match else PurePosixPath(record.place.file).name.partition(".")[0]
