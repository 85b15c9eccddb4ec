"""What is said of a night, as plain JSON and in Slack's form.

Pure. Rates and reasons travel, texts of samples do not. Called by `notify`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from halluc_ray.errors import HallucRayError, InputError, SpecError
from halluc_ray.logs import reason_of
from halluc_ray.suites.nightly import SpecNight, SuiteNight

_MAX_SECTION = 2900  # Slack takes 3,000 characters in a section, and 50 blocks
_MAX_BLOCKS = 45
_MAX_MISSED = 10
_SPECIAL = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def message(night: SuiteNight, *, site: str | None = None) -> dict[str, Any]:
    """A night as plain values: its status, one line, each spec, and where the suite's page lies."""
    specs = [_spec(spec) for spec in night.specs]
    status = next((s for s in STATUSES if any(spec["status"] == s for spec in specs)), "done")
    return {
        "suite": night.suite,
        "date": night.date,
        "status": status,
        "summary": f"{night.suite}, night of {night.date}: {status}{_missed(night)}",
        "missed": list(night.missed),
        "site": site,
        "specs": specs,
    }


STATUSES = ("error", "incomplete", "fail", "too_many_failed", "inconclusive", "pass", "done")
"""Worst first; `done` where there is no gate."""


def slack(said: Mapping[str, Any]) -> dict[str, Any]:
    """A message in the form of Slack's incoming webhooks.

    >>> slack({"summary": "qa <1>", "specs": []})["text"]
    'qa &lt;1&gt;'
    """
    sections = ["\n".join(_slack_lines(spec)) for spec in said["specs"]]
    more = len(sections) - _MAX_BLOCKS
    head = f"*{_escaped(said['summary'])}*"
    texts = [f"{head}\n{_escaped(said['site'])}" if said.get("site") else head, *sections[:_MAX_BLOCKS]]
    if more > 0:
        texts.append(f"and {more} more specs")
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": _cut(text)}} for text in texts]
    return {"text": _escaped(said["summary"]), "blocks": blocks}


def status_of(spec: SpecNight) -> str:
    """One word for what became of a spec."""
    if spec.error is not None:
        return "error" if _needs_mending(spec.error) else "incomplete"
    if spec.night is None:
        return "incomplete"
    verdict = spec.night.gate.verdict.lower() if spec.night.gate else "done"
    return "too_many_failed" if spec.night.too_many_failed and verdict != "fail" else verdict


def _needs_mending(error: HallucRayError) -> bool:
    return isinstance(error, SpecError | InputError)


def _spec(spec: SpecNight) -> dict[str, Any]:
    said: dict[str, Any] = {"spec": spec.entry, "status": status_of(spec)}
    if spec.error is not None:
        return said | {"error": reason_of(spec.error)}
    if spec.night is None or spec.done is None:
        return said
    return said | {
        "run_id": spec.night.run_id,
        "report": spec.done.report_html_uri,
        "checkpoints": spec.night.checkpoints,
        "rates": [rate.model_dump(mode="json") for rate in spec.night.rates],
        "baseline": spec.night.baseline.model_dump(mode="json") if spec.night.baseline else None,
        "gate": spec.night.gate.model_dump(mode="json") if spec.night.gate else None,
        "shards_computed": spec.done.shards_computed,
        "device_seconds": dict(spec.cost.seconds),
        "money": spec.cost.money,
        "by_system": {
            name: {"device_seconds": held, "money": spent} for name, (held, spent) in spec.cost.by_system.items()
        },
    }


def _slack_lines(spec: Mapping[str, Any]) -> list[str]:
    lines = [f"*{_escaped(spec['spec'])}*: {spec['status'].replace('_', ' ')}"]
    if "error" in spec:
        lines.append(_escaped(spec["error"]))
    for rate in spec.get("rates", ()):
        share = "no rate" if rate["rate"] is None else f"{rate['rate']:.1%} ({rate['low']:.1%} to {rate['high']:.1%})"
        lines.append(f"{_escaped(rate['system'])}, {_escaped(rate['indicator'])}: {share}")
    if spec.get("gate"):
        lines.append(_escaped(spec["gate"]["reason"]))
    if "report" in spec:
        lines.append(_escaped(spec["report"]))
    return lines


def _missed(night: SuiteNight) -> str:
    if not night.missed:
        return ""
    more = f" and {len(night.missed) - _MAX_MISSED} earlier" if len(night.missed) > _MAX_MISSED else ""
    return f"; missed nights: {', '.join(night.missed[-_MAX_MISSED:])}{more}"


def _escaped(text: str) -> str:
    return re.sub("[&<>]", lambda found: _SPECIAL[found.group()], text)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SECTION else f"{text[:_MAX_SECTION]} ..."
