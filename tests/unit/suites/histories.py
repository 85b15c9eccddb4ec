"""Histories to look at: of real runs, computed in this process, and of records alone, as long as one likes."""

import json
import math
import random
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import yaml

from halluc_ray.reports.report import Rate
from halluc_ray.statistics import wilson
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.nightly import SuiteNight, run_night
from halluc_ray.suites.nights import Night, NightBaseline, NightGate, NightRate, write_night
from halluc_ray.suites.suite import Suite, load_suite
from halluc_ray.suites.tonight import spec_of_tonight
from halluc_ray.suites.verdicts import Verdict
from tests.unit.engine.whole import begin, write

FIRST = date(2026, 11, 2)
SYSTEMS = {"assistant-small": 0.16, "assistant-large": 0.07, "assistant-large-q4": 0.09}
TOPICS = ("orders", "refunds", "shipping", "warranty")
SUITE = """\
name: support
specs: [{spec: support.yaml, set: ["corpus.uri=answers/{date}"]}]
schedule: daily
baseline: latest
gate: {rules: [{max_increase: 0.05}, {max_increase: 0.15, slice: [topic]}]}
"""
SPEC = {
    "corpus": {
        "columns": {"id": "id", "prompt": "question", "context": "context", "reference": "truth", "response": "answer"}
    },
    "systems": [{"kind": "recorded", "name_from": "model"}],
    "indicators": [{"kind": "answer_mismatch", "mode": "contains"}, {"kind": "unsupported_number"}],
    "slices": ["topic", "lang"],
}


def day(night: int) -> str:
    return str(FIRST + timedelta(days=night))


def answers(night: int, *, ids: int, worse: str = "", seed: int = 7, mark: str = "") -> dict[str, list[str]]:
    """What three assistants say of orders; `worse` names the topic that the small one gets wrong tonight."""
    columns: dict[str, list[str]] = {
        name: [] for name in ("id", "model", "topic", "lang", "question", "context", "truth", "answer")
    }
    for system, share in SYSTEMS.items():
        rng, tonight = random.Random(f"{seed} {system}"), random.Random(f"{seed} {system} {night}")
        for k in range(ids):
            luck = [rng.random() for _ in range(4)]
            luck = luck if tonight.random() < 0.95 else [tonight.random() for _ in range(4)]
            topic, chinese = TOPICS[k % 4], k % 3 == 0
            total, wrong = 20 + (k * 7) % 400, share + 0.012 * math.sin(night) + 0.05 * chinese
            wrong += 0.33 if topic == worse and system != "assistant-large" else 0.0
            said = total + 3 + int(80 * luck[1]) if luck[0] < wrong else total
            extra = f" It arrives in {11 + int(20 * luck[3])} days." if luck[2] < wrong / 2 else ""
            context = f"订单 {k}：共 {total} 元。" if chinese else f"Order {k}: {total} euros in all."
            answer = f"一共 {said} 元。" if chinese else f"It came to {said} euros.{extra}"
            columns["id"].append(f"{mark}{topic}-{k:04}")
            columns["model"].append(system)
            columns["topic"].append(topic)
            columns["lang"].append("zh" if chinese else "en")
            columns["question"].append(f"{mark}订单 {k} 多少钱？" if chinese else f"{mark}What did order {k} cost?")
            columns["context"].append(mark + context)
            columns["truth"].append(f"{total} euros {mark}" if mark else f"{total}")
            columns["answer"].append(f"{answer} {mark}")
    return columns


def real_suite(folder: Path, *, rows: int = 240, nights: dict[int, str] | None = None, mark: str = "") -> Suite:
    """A suite in a folder, with the answers of some nights (night -> topic that is worse); no night has run."""
    for night, worse in (nights or {0: "", 1: "refunds"}).items():
        table = answers(night, ids=rows, worse=worse, mark=mark)
        write(folder / "answers" / day(night) / "a.parquet", table, group_rows=rows)
    (folder / "support.yaml").write_text(yaml.safe_dump(SPEC | {"corpus": {**SPEC["corpus"], "uri": "answers/x"}}))
    text = SUITE.replace("support.yaml", str(folder / "support.yaml")).replace("answers/", f"{folder}/answers/")
    return load_suite(text, source="suite.yaml", overrides=[f"output={folder / 'out'}"])


def a_night(suite: Suite, night: int) -> SuiteNight:
    """Run a night as `halluc-ray nightly` does; what Ray would compute is computed here first."""
    for entry in suite.specs:
        spec = spec_of_tonight(suite, entry, date=day(night)).spec
        begin(spec.model_dump(mode="json", exclude_unset=True))
    return run_night(suite, date=day(night))


def made_history(
    store: ObjectStore, *, suite: str = "long", nights: int = 400, systems: int = 10, specs: tuple[str, ...] = ("qa",)
) -> list[Night]:
    """Records of many nights, and the reports of the last and its baseline: what a long history looks like."""
    rng = random.Random(3)
    names = [f"team/model-{chr(97 + k)}-instruct-v{k}" for k in range(systems)]
    dates = [str(date(2025, 10, 20) + timedelta(days=k)) for k in range(nights)]
    missed = {dates[k] for k in (nights // 3, nights // 2) if nights > 9}
    made: list[Night] = []
    for spec in specs:
        before: Night | None = None
        for at, each in enumerate(dates):
            if each in missed:
                continue
            run_id = f"{at:04x}{len(spec):02x}{'ab' * 5}"
            rates = _rates(names, at, rng)
            verdict = Verdict.PASS if before and rng.random() < 0.9 else rng.choice([*Verdict][1:])
            reason = (
                f"2 of 30 checks; the worst slice is topic=t{at % 40} (answer_mismatch, {names[at % systems]}): " * 2
            )
            night = Night(
                suite=suite,
                date=each,
                spec=spec,
                run_id=run_id,
                signature="s",
                checkpoints={},
                failed_share=0.0,
                too_many_failed=False,
                rates=tuple(NightRate(**{f: getattr(rate, f) for f in NightRate.model_fields}) for rate in rates),
                baseline=NightBaseline(run_id=before.run_id, found_by=f"latest: {before.date}") if before else None,
                gate=NightGate(verdict=verdict, reason=reason.strip(), policy="p"),
                missed=tuple(m for m in missed if before and before.date < m < each),
            )
            write_night(store, night)
            if at >= nights - 2:
                _report(store, run_id, [*rates, *_cells(names, at, rng)])
            before = night if verdict is not Verdict.FAIL else before
            made.append(night)
    return made


def _rates(names: list[str], at: int, rng: random.Random) -> list[Rate]:
    return [
        a_rate(
            name, indicator, round(1000 * (0.05 + 0.02 * k + 0.02 * math.sin(at / 30 + k)) + rng.randrange(30)), 1000
        )
        for k, name in enumerate(names)
        for indicator in ("answer_mismatch", "unsupported_number")
    ]


def _cells(names: list[str], at: int, rng: random.Random) -> list[Rate]:
    cells = [{"topic": f"topic {k:02}"} for k in range(40)] + [{"lang": lang} for lang in ("en", "zh", "de")]
    return [
        a_rate(name, indicator, rng.randrange(2, 30), 120, cell)
        for name in names
        for indicator in ("answer_mismatch", "unsupported_number")
        for cell in cells
    ]


def a_rate(system: str, indicator: str, hallucinated: int, rows: int, cell: dict[str, str] | None = None) -> Rate:
    low, high = wilson([hallucinated], defined=[rows], confidence=0.95)
    fates = {"abstained": 0, "undecided": 0, "not_applicable": 0, "failed": 0}
    shares = {"rate": hallucinated / rows, "low": float(low[0]), "high": float(high[0]), "answered_share": 1.0}
    counts = {"rows": rows, "hallucinated": hallucinated, "supported": rows - hallucinated}
    return Rate(system=system, indicator=indicator, slice=cell or {}, confidence=0.95, **counts, **fates, **shares)


def _report(store: ObjectStore, run_id: str, rates: list[Rate]) -> None:
    said = {"run_id": run_id, "failed_share": 0.0, "rates": [asdict(rate) for rate in rates]}
    store.put(keys.run_key(run_id, "report.json"), json.dumps(said).encode())
