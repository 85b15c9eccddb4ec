"""The rates of one system as metadata of a Hugging Face model card: `model-index` in YAML front matter.

Nothing is made up: what the run does not know (a dataset's name on the hub, its split) is said by the user or
left out, and `verified` is false. Knows reports and the library's own records; caller: `evaluation.exporting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from halluc_ray.errors import InputError, SpecError
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports.report import Rate, Report
from halluc_ray.reports.signature import corpus_digest

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_TASKS = {
    "causal-lm": "text-generation",
    "choices": "multiple-choice",
    "dual-encoder": "zero-shot-image-classification",
    "embedder": "sentence-similarity",
    "endpoint": "text-generation",
    "image-text-to-text": "image-text-to-text",
    "seq2seq-lm": "text2text-generation",
    "sequence-classification": "text-classification",
}
_LABELS = "label_mismatch"


@dataclass(frozen=True, slots=True)
class CardDataset:
    """What the corpus is called on the card; the run itself knows no more than its digest.

    Attributes:
        name: for people; `corpus <digest>` where None.
        type: its id on the hub; `custom` where None.
        split: left out where None.
    """

    name: str | None = None
    type: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class ModelIndex:
    """Front matter, and the indicators that have no rate to put there."""

    text: str
    without_rate: tuple[str, ...]


def model_index(
    report: Report, record: RunRecord, *, system: str | None = None, dataset: CardDataset | None = None
) -> ModelIndex:
    """One entry per indicator of a system, its rate over all rows.

    Args:
        report: of the run.
        record: the run.
        system: whose card it is; the only one where None.
        dataset: what the corpus is called.

    Raises:
        SpecError: no such system, or one of several must be named.
        InputError: no indicator has a rate.
    """
    from huggingface_hub import ModelCardData

    name = _system(report, system)
    rates = [rate for rate in report.overall() if rate.system == name]
    found = [rate for rate in rates if rate.rate is not None]
    if not found:
        raise InputError(
            f"system {name!r} has no rate under any indicator: nothing was hallucinated or supported; look at its rows "
            "with `halluc-ray samples`"
        )
    results = [_entry(rate, report, record, dataset or CardDataset()) for rate in found]
    data = ModelCardData(model_name=name, eval_results=results)
    text = f"---\n{data.to_yaml(line_break=chr(10))}\n---\n"
    return ModelIndex(text, tuple(rate.indicator for rate in rates if rate.rate is None))


def _system(report: Report, asked: str | None) -> str:
    names = [facts.system for facts in report.systems]
    if asked is None and len(names) == 1:
        return names[0]
    if asked not in names:
        wrong = "a card is of one system: name it" if asked is None else f"no system is called {asked!r}; name one"
        shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
        raise SpecError(f"{wrong} with --system: {shown}")
    return asked


def _entry(rate: Rate, report: Report, record: RunRecord, dataset: CardDataset) -> EvalResult:
    from huggingface_hub import EvalResult

    indicator = next(entry for entry in record.indicators if entry.name == rate.indicator)
    kind = next(facts.kind for facts in report.systems if facts.system == rate.system)
    labels = indicator.kind == _LABELS
    digest = corpus_digest(record)
    return EvalResult(
        task_type=_TASKS.get(kind, "text-classification" if labels else "text-generation"),
        dataset_type=dataset.type or "custom",
        dataset_name=dataset.name or f"corpus {digest}",
        dataset_split=dataset.split,
        dataset_revision=digest,
        metric_type="error_rate" if labels else "hallucination_rate",
        metric_name=f"{'Error' if labels else 'Hallucination'} rate ({rate.indicator})",
        metric_value=rate.rate,
        metric_args=_arguments(rate, report),
        verified=False,
    )


def _arguments(rate: Rate, report: Report) -> dict[str, Any]:
    return {
        "indicator": rate.indicator,
        "low": rate.low,
        "high": rate.high,
        "confidence": rate.confidence,
        "defined": rate.defined,
        "rows": rate.rows,
        "answered_share": rate.answered_share,
        "run_id": report.run_id,
        "signature": report.signature,
    }
