"""Samples that lm-evaluation-harness logs (`samples_TASK_DATE.jsonl`, --log_samples), as corpus rows.

The harness writes one line per document and filter: `arguments` (`gen_args_0.arg_0` is the prompt; older
versions a list of lists), `resps`, `filtered_resps` (what was scored), `target` as text, and a column per
metric. A multiple-choice sample has one request per option, each answered by (log-likelihood, is greedy).
Caller: `presets`.

Reference: EleutherAI/lm-evaluation-harness, lm_eval/evaluator.py and loggers/evaluation_tracker.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

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
        named = [task, str(sample["doc_id"]), filter if filter not in (None, "none") else None]
        values: dict[str, Any] = {"id": "/".join(part for part in named if part), "task": task, "filter": filter}
        values["prompt"] = requests[0][0]
        metrics = {name: value for name, value in sample.items() if name not in _OWN and _is_scalar(value)}
        answers = _answers(sample, requests)
        reference = _reference(sample, requests, answers)
        for position, (answer, raw) in enumerate(answers):
            row = values | {"response": answer, "raw_response": raw, "reference": reference} | metrics
            yield row, position if len(answers) > 1 else None


def _requests(arguments: Any) -> list[list[Any]]:
    """Per request, its arguments in order."""
    if isinstance(arguments, Mapping):
        arguments = [
            [request[name] for name in sorted(request, key=_number)]
            for request in (arguments[name] for name in sorted(arguments, key=_number))
        ]
    if not isinstance(arguments, list) or not arguments or not all(isinstance(one, list) and one for one in arguments):
        raise RowProblem("no request", "`arguments` holds no request, so there is no prompt")
    return arguments


def _number(name: str) -> int:
    digits = name.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 0


def _answers(sample: Mapping[str, Any], requests: list[list[Any]]) -> list[tuple[str | None, str | None]]:
    """What was scored and what the model said, per draw."""
    filtered = sample["filtered_resps"]
    if not isinstance(filtered, list) or not filtered:
        raise RowProblem("no answer", "`filtered_resps` is empty")
    if all(_is_likelihood(one) for one in filtered) and len(filtered) == len(requests):
        return [_chosen(filtered, requests)]
    if len(requests[0]) == 1:
        raise RowProblem("no answer", "a rolling log-likelihood says how likely a text is; the model answered nothing")
    first, raw = filtered[0], _first(sample["resps"])
    if not isinstance(first, list):
        return [(first, _first(raw))]
    raws = raw if isinstance(raw, list) and len(raw) == len(first) else [None] * len(first)
    if not first:
        raise RowProblem("no answer", "`filtered_resps` holds an empty list")
    return list(zip(first, raws, strict=True))


def _chosen(filtered: Sequence[Any], requests: list[list[Any]]) -> tuple[str | None, str | None]:
    likelihoods = [float(one[0]) for one in filtered]
    if len(likelihoods) == 1:
        greedy = str(filtered[0][1]).lower() == "true"
        return (_option(requests[0]), None) if greedy else (None, None)
    return _option(requests[likelihoods.index(max(likelihoods))]), None


def _reference(sample: Mapping[str, Any], requests: list[list[Any]], answers: Sequence[Any]) -> Any:
    """The right option's text where `target` is an option's number; else the target.

    Options that are numbers themselves leave open what a target such as `1` means; the metric `acc` then tells.
    """
    target = sample["target"]
    options = [_option(request) for request in requests]
    number = str(target).strip()
    is_choice = len(options) > 1 and None not in options and len(sample["filtered_resps"]) == len(requests)
    if not is_choice or not number.isdigit() or int(number) >= len(options):
        return target
    by_number = options[int(number)]
    if number not in options or by_number == number:
        return by_number
    right = sample.get("acc")
    fitting = [
        option for option in (number, by_number) if right is not None and (answers[0][0] == option) == bool(right)
    ]
    if len(fitting) != 1:
        raise RowProblem(
            "unclear target", f"target {number!r} may be an option or the number of one, and acc does not tell which"
        )
    return fitting[0]


def _option(request: Sequence[Any]) -> str | None:
    return request[1].strip() if len(request) > 1 and isinstance(request[1], str) else None


def _is_likelihood(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or str(value[1]).lower() not in ("true", "false"):
        return False
    try:
        float(value[0])
    except (TypeError, ValueError):
        return False
    return True


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _task(record: Record) -> str:
    match = _FILE.search(PurePosixPath(record.place.file).name)
    return match["task"] if match else PurePosixPath(record.place.file).name.partition(".")[0]


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)
