"""A gate's result as JUnit XML and as a Markdown summary.

Knows the result; decides nothing. In JUnit a failed check is a failure, and one that could not be decided
an error: nothing was shown to be well. Callers: the command line, the nightly.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping

from halluc_ray.suites.verdicts import Check, GateResult, Verdict, cell_name, percent

_SUITE = "halluc-ray gate"
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NUMBERS = ("measured", "interval", "allowed", "detectable")
_MOST_LINES = 50


def gate_files(result: GateResult) -> Mapping[str, bytes]:
    """File name -> bytes: gate.json, gate.xml, gate.md."""
    return {"gate.json": result.to_json(), "gate.xml": junit_xml(result), "gate.md": markdown(result).encode()}


def junit_xml(result: GateResult) -> bytes:
    """JUnit XML: one test case for each check.

    Reference:
        The format that Jenkins' JUnit plugin reads (its junit-10.xsd).
    """
    counts = {
        "tests": len(result.checks),
        "failures": sum(check.verdict is Verdict.FAIL for check in result.checks),
        "errors": sum(check.verdict is Verdict.INCONCLUSIVE for check in result.checks),
    }
    numbers = {name: str(number) for name, number in counts.items()}
    root = ET.Element("testsuites", {"name": _SUITE, **numbers})
    suite = ET.SubElement(root, "testsuite", {"name": _SUITE, **numbers, "skipped": "0", "time": "0"})
    properties = ET.SubElement(suite, "properties")
    facts = {"verdict": result.verdict, "reason": result.reason, "run": result.run, "baseline": result.baseline or ""}
    for name, value in facts.items():
        ET.SubElement(properties, "property", {"name": name, "value": _clean(value)})
    for check in result.checks:
        _case(suite, check)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def markdown(result: GateResult) -> str:
    """A summary: the verdict, what this corpus can show, the checks that did not pass, then the others."""
    lines = [f"# Gate: {result.verdict}", "", _escaped(result.reason), ""]
    held = f"baseline `{result.baseline}`, paired by {_escaped(result.by or '')}" if result.baseline else "no baseline"
    lines += [f"Run `{result.run}`, {held}; {result.confidence * 100:g} % intervals.", ""]
    lines += [f"- {_escaped(note)}" for note in result.notes]
    if result.not_judged:
        lines.append(f"- {result.not_judged:,} cells have fewer rows than `min_rows` and were not judged")
    lines += [
        "",
        "| verdict | limit | indicator | system | slice | rows | measured | interval | allowed | detectable |",
    ]
    lines.append("|---|---|---|---|---|--:|--:|--:|--:|--:|")
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    ranked = sorted(result.checks, key=lambda check: (order.index(check.verdict), -check.excess))
    lines += [_row(check) for check in ranked[:_MOST_LINES]]
    if len(ranked) > _MOST_LINES:
        lines += ["", f"{len(ranked) - _MOST_LINES:,} more checks are in gate.json."]
    lines += ["", f"*Detectable*: the smallest that this corpus would show with {result.power:.0%} power.", ""]
    return "\n".join(lines)


def _case(suite: ET.Element, check: Check) -> None:
    name = f"{check.limit} {check.allowed:g} [{cell_name(check.slice)}]"
    attributes = {"classname": f"{check.system}.{check.indicator}", "name": name, "time": "0"}
    case = ET.SubElement(suite, "testcase", {key: _clean(value) for key, value in attributes.items()})
    kind = {Verdict.FAIL: "failure", Verdict.INCONCLUSIVE: "error"}.get(check.verdict)
    if kind is None:
        ET.SubElement(case, "system-out").text = _clean(check.reason)
        return
    told = ET.SubElement(case, kind, {"message": _clean(check.reason), "type": check.verdict})
    told.text = f"p (Holm) {check.p_holm:.4g}; rows {check.rows}; detectable {percent(check.detectable)}"


def _row(check: Check) -> str:
    interval = f"{percent(check.low)} to {percent(check.high)}" if check.rows else ""
    cells = [check.verdict, f"`{check.limit}`", check.indicator, check.system, cell_name(check.slice)]
    cells += [f"{check.rows:,}", percent(check.value), interval, percent(check.allowed), percent(check.detectable)]
    return "| " + " | ".join(cell if at == 1 else _escaped(cell) for at, cell in enumerate(cells)) + " |"


def _escaped(text: str) -> str:
    """Text of a corpus or a spec in Markdown: it stays on its line, and makes neither markup nor HTML."""
    flat = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", flat).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clean(text: str) -> str:
    """Text without the characters that XML can't hold."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
