"""The rates of a report as a table for a model card.

Knows reports; names come from specs and corpora and are escaped. Caller: `evaluation.exporting`.
"""

from __future__ import annotations

import re

from halluc_ray.reports.report import Rate, Report

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~$-])")


def markdown_table(report: Report) -> str:
    """Systems by indicators over all rows, what to know before trusting them, and the signature."""
    overall = list(report.overall())
    level = f"{overall[0].confidence * 100:g} % interval" if overall else "interval"
    head = f"| System | Indicator | Hallucinated | {level} | n | Answered |\n|---|---|---:|---|---:|---:|\n"
    rows = "".join(_row(rate) for rate in overall)
    notes = "".join(f"- {_escaped(warning)}\n" for warning in report.warnings)
    explained = (
        "Hallucinated: share of the n answers that the indicator could decide. Answered: share of all rows that have "
        "an answer, neither declined nor failed.\n"
    )
    return "\n".join(filter(None, [head + rows, explained, notes, _code(report.signature)])) + "\n"


def _row(rate: Rate) -> str:
    names = f"| {_escaped(rate.system)} | {_escaped(rate.indicator)} "
    ends = f"{_percent(rate.low)} to {_percent(rate.high)}" if rate.rate is not None else "–"
    return f"{names}| {_percent(rate.rate)} | {ends} | {rate.defined:,} | {_percent(rate.answered_share)} |\n"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f} %"


def _escaped(text: str) -> str:
    r"""One line in which nothing is markup.

    >>> print(_escaped("a|b *c*"))
    a\|b \*c\*
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def _code(text: str) -> str:
    """A code span, between more backticks than stand in the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"Signature: {fence} {text} {fence}" if longest else f"Signature: {fence}{text}{fence}"
