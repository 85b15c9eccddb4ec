"""Details that lighteval saves (`details_TASK_DATE.parquet`), as corpus rows.

Two shapes. The newer one nests: `doc` (query, choices, gold_index, id, task_name), `model_response`
(text, text_post_processed, logprobs) and `metric`. The older one is flat: full_prompt, predictions, gold,
choices, gold_index, metrics; where a value did not fit a table, all of a file's values were saved as
Python's text of them. Caller: `presets`.

Reference: huggingface/lighteval, src/lighteval/logging/info_loggers.py and tasks/requests.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from halluc_ray.corpora.importing.records import Record, RowProblem

_FILE = re.compile(r"details_(?P<task>.+?)_\d{4}-\d\d-\d\dT")
_NESTED = frozenset({"doc", "model_response", "metric"})
_FLAT = frozenset({"full_prompt", "predictions", "gold"})
_LITERAL = ("[", "{", "(")


def is_lighteval(record: Mapping[str, Any]) -> bool:
    """Whether a record has the shape of saved details, newer or older."""
    return record.keys() >= _NESTED or record.keys() >= _FLAT


class LightevalDetails:
    """Mapper of saved details: id, task, prompt, response, reference and the metrics."""

    names = ("id", "prompt", "response", "reference")
    fields = frozenset({*_NESTED, *_FLAT, "metrics", "choices", "gold_index"})
    touched = fields

    def rows(self, record: Record) -> Iterator[tuple[dict[str, Any], int | None]]:
        """One row per sample; one per answer where the sample was answered several times.

        Raises:
            RowProblem: neither shape, or no answer in it.
        """
        detail = record.value
        if detail.keys() >= _NESTED:
            values, answers, metrics = _nested(detail)
        elif detail.keys() >= _FLAT:
            values, answers, metrics = _flat(detail)
        else:
            raise RowProblem("no detail of lighteval", f"it has the fields {', '.join(list(detail)[:8])}")
        task = values.get("task") or _task(record)
        row = {"id": f"{task}/{values.pop('number', None) or record.place.row}"} | values | {"task": task}
        taken = {f"metric_{name}" if name in row or name == "response" else name: v for name, v in metrics.items()}
        for position, answer in enumerate(answers):
            yield row | {"response": answer} | taken, position if len(answers) > 1 else None


def _nested(detail: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any], Mapping[str, Any]]:
    doc, said = _object(detail["doc"], "doc"), _object(detail["model_response"], "model_response")
    choices = _list(doc.get("choices"))
    asked = said.get("input")
    values = {
        "number": doc.get("id") or None,
        "task": doc.get("task_name") or None,
        "prompt": asked if isinstance(asked, str) and asked else doc.get("query"),
        "reference": _golds(choices, doc.get("gold_index")),
    }
    texts = said.get("text_post_processed") or said.get("text")
    answers = _list(texts) if texts else _most_likely(said.get("logprobs"), choices)
    return values, answers, _object(detail["metric"], "metric")


def _flat(detail: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any], Mapping[str, Any]]:
    choices = _list(_literal(detail.get("choices")))
    gold = _literal(detail["gold"])
    reference = gold or _golds(choices, _literal(detail.get("gold_index")))
    predictions = _literal(detail["predictions"])
    values = {"prompt": detail["full_prompt"], "reference": reference}
    answers: list[Any]
    if isinstance(predictions, str):
        answers = [predictions]
    elif predictions and all(isinstance(one, str) for one in predictions):
        answers = list(predictions)
    else:
        answers = _most_likely(predictions, choices)
    metrics = _literal(detail.get("metrics"))
    return values, answers, metrics if isinstance(metrics, Mapping) else {}


def _golds(choices: Sequence[Any], index: Any) -> list[Any] | None:
    numbers = index if isinstance(index, list | tuple) else [index]
    found = [choices[number] for number in numbers if isinstance(number, int) and 0 <= number < len(choices)]
    return [one.strip() if isinstance(one, str) else one for one in found] or None


def _most_likely(likelihoods: Any, choices: Sequence[Any]) -> list[Any]:
    """The option of the highest log-likelihood; each may come with a flag beside it."""
    numbers = [one[0] if isinstance(one, list | tuple) and one else one for one in _list(likelihoods)]
    if not numbers or len(numbers) != len(choices) or not all(_is_likelihood(one) for one in numbers):
        raise RowProblem("no answer", "it holds neither texts nor one log-likelihood per choice")
    best = choices[numbers.index(max(numbers))]
    return [best.strip() if isinstance(best, str) else best]


def _is_likelihood(value: Any) -> bool:
    return isinstance(value, int | float) and value == value


def _list(value: Any) -> list[Any]:
    """The list; of one text the list of it, of nothing an empty one."""
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _object(value: Any, name: str) -> Mapping[str, Any]:
    found = _literal(value)
    if not isinstance(found, Mapping):
        raise RowProblem(f"{name} is no object", f"{name} is {type(found).__name__}; is the file lighteval's own?")
    return found


def _literal(value: Any) -> Any:
    """What a Python text of a list or dict stands for (constants only); anything else as it is."""
    if not isinstance(value, str) or not value.startswith(_LITERAL):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _task(record: Record) -> str:
    match = _FILE.search(PurePosixPath(record.place.file).name)
    return match["task"] if match else PurePosixPath(record.place.file).name.partition(".")[0]
