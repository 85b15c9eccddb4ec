"""Series of a store: equal to its reports, bounded, and unharmed by rubbish."""

import json

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from halluc_ray.records.metrics import MAX_LABEL_CHARACTERS, OF_A_LIVING_RUN, OF_A_STORE
from halluc_ray.storage.local import LocalStore
from halluc_ray.suites import exporter as room
from halluc_ray.suites.exporter import Exporter
from halluc_ray.suites.nights import NightGate, NightRate, write_night
from halluc_ray.suites.suite import load_suite
from halluc_ray.suites.verdicts import Check, GateResult, Verdict
from tests.unit.engine.whole import answers, begin, report_of, spec_of, write
from tests.unit.suites.test_nights import a_night

NOVEMBER_24 = 1795478400.0  # date -u -d 2026-11-24 +%s
OUTCOMES = ("hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed")
SUITE = "name: qa\nspecs: [facts.yaml]\nschedule: {schedule}\ndevices: {{cpu: {{price_per_hour: 36}}}}\n"


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "out")


def shown(store, *, suites=(), runs=20):
    """(name, labels) -> value, as the client library's own parser reads what is written."""
    exported = Exporter(store, suites=suites, runs=runs)
    trouble = exported.refresh()
    return parsed(exported), trouble


def parsed(exported):
    registry = CollectorRegistry()
    registry.register(exported)
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [(s.name, frozenset(s.labels.items()), s.value) for family in families for s in family.samples]
    found = {(name, labels): value for name, labels, value in samples}
    assert len(found) == len(samples), "a series is written once"
    return found


def of(found, name, **labels):
    return found.get((f"halluc_ray_{name}", frozenset(labels.items())))


def check(verdict, value, cell=None, **changes):
    fields = {"system": "clerk", "indicator": "answer_mismatch", "slice": cell or {}, "limit": "max_rate"}
    numbers = {"allowed": 0.1, "rows": 9, "value": value, "low": 0.0, "high": 1.0, "detectable": 0.2, "p_holm": 0.5}
    return Check(**fields | numbers | {"verdict": verdict, "reason": "r"} | changes)


def keep_gate(store, night, *checks):
    result = GateResult(1, Verdict.FAIL, "r", night.run_id, None, None, 0.95, 0.8, 0, None, (), checks)
    store.put(f"suites/{night.suite}/gates/{night.name}/gate.json", result.to_json())


def failed(date="2026-11-24", **changes):
    return a_night(date, gate=NightGate(verdict=Verdict.FAIL, reason="r", policy="p"), **changes)


@pytest.fixture
def run(tmp_path):
    write(tmp_path / "corpus" / "a.parquet", answers(range(40)))
    return begin(spec_of(tmp_path / "corpus", tmp_path / "out", slices=["topic"]))


def test_every_number_of_a_run_is_its_reports(run):
    report = report_of(run)
    found, trouble = shown(run.store)
    assert trouble is None
    [rate] = [rate for rate in report["rates"] if not rate["slice"]]
    labels = {"run_id": run.run_id, "system": "clerk", "indicator": "answer_mismatch"}
    assert 0 < rate["low"] < rate["rate"] < rate["high"] < 1
    assert of(found, "run_hallucination_rate", **labels) == rate["rate"]
    assert of(found, "run_hallucination_rate_low", **labels) == rate["low"]
    assert of(found, "run_hallucination_rate_high", **labels) == rate["high"]
    assert of(found, "run_answered_share", **labels) == rate["answered_share"]
    assert [of(found, "run_units", **labels, outcome=name) for name in OUTCOMES] == [rate[name] for name in OUTCOMES]
    assert of(found, "run_failed_share", run_id=run.run_id) == report["failed_share"]


def test_a_run_that_goes_on_has_no_series(run):
    found, _ = shown(run.store)
    assert not any(name.startswith("halluc_ray_run_") for name, _ in found)
    assert of(found, "exporter_objects", part="telemetry") == 0


def test_the_latest_night_its_gate_and_the_last_that_passed(store):
    rate = NightRate(
        system="m", indicator="i", hallucinated=1, supported=3, rows=5, rate=0.25, low=0.1, high=0.5, answered_share=0.8
    )
    passed = NightGate(verdict=Verdict.PASS, reason="r", policy="p")
    write_night(store, a_night("2026-11-22", run_id="aa", gate=passed))
    write_night(store, a_night("2026-11-23", run_id="bb"))
    night = failed(rates=(rate,), failed_share=0.125)
    write_night(store, night)
    keep_gate(store, night, check(Verdict.PASS, 0.0), check(Verdict.FAIL, 0.4, {"topic": "化学"}))
    found, _ = shown(store)
    mine = {"suite": "qa", "spec": "facts"}
    assert of(found, "night_info", **mine, run_id="ab12", date="2026-11-24") == 1
    assert of(found, "night_scheduled_timestamp_seconds", **mine) == NOVEMBER_24
    assert of(found, "night_last_pass_timestamp_seconds", **mine) == NOVEMBER_24 - 2 * 86400
    assert [of(found, "night_gate", **mine, verdict=v) for v in ("PASS", "FAIL", "INCONCLUSIVE")] == [0, 1, 0]
    assert [of(found, "night_checks", **mine, verdict=v) for v in ("PASS", "FAIL", "INCONCLUSIVE")] == [1, 1, 0]
    worst = {**mine, "system": "clerk", "indicator": "answer_mismatch", "limit": "max_rate", "slice": "topic=化学"}
    assert of(found, "night_check", **worst, verdict="FAIL") == 1
    assert of(found, "night_check", **worst | {"slice": "all rows"}, verdict="FAIL") == 0
    assert of(found, "night_hallucination_rate", **mine, system="m", indicator="i") == 0.25
    assert of(found, "night_units", **mine, system="m", indicator="i", outcome="supported") == 3
    assert of(found, "night_units", **mine, system="m", indicator="i", outcome="failed") is None  # its report is gone
    assert of(found, "night_failed_share", **mine) == 0.125


@pytest.mark.parametrize("run_ids", [("aa", "bb"), ("bb", "aa")])
def test_of_two_records_of_a_date_the_worse_is_shown(store, run_ids):
    write_night(store, failed(run_id=run_ids[0]))
    passed = NightGate(verdict=Verdict.PASS, reason="r", policy="p")
    write_night(store, a_night("2026-11-24", run_id=run_ids[1], gate=passed))
    found, _ = shown(store)
    assert of(found, "night_gate", suite="qa", spec="facts", verdict="FAIL") == 1
    assert of(found, "night_info", suite="qa", spec="facts", run_id=run_ids[0], date="2026-11-24") == 1


def test_all_six_outcomes_of_a_night_come_from_its_report(run):
    report = report_of(run)
    write_night(run.store, a_night("2026-11-24", run_id=run.run_id))
    found, _ = shown(run.store, runs=0)
    [rate] = [rate for rate in report["rates"] if not rate["slice"]]
    labels = {"suite": "qa", "spec": "facts", "system": "clerk", "indicator": "answer_mismatch"}
    assert [of(found, "night_units", **labels, outcome=name) for name in OUTCOMES] == [rate[name] for name in OUTCOMES]
    assert sum(rate[name] for name in OUTCOMES) == 40
    assert of(found, "run_failed_share", run_id=run.run_id) is None


@pytest.mark.parametrize(("schedule", "missed"), [("daily", 3), ("weekdays", 1), ("null", None)])
def test_missed_nights_and_money_come_from_the_suites_file(store, monkeypatch, schedule, missed):
    """Friday's night is the latest, and it is Tuesday."""

    class Tuesday(room.datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 11, 24, 12, tzinfo=tz)

    monkeypatch.setattr(room.datetime, "datetime", Tuesday)
    write_night(store, a_night("2026-11-20"))
    store.put("runs/ab12/report.json", b'{"run_id": "ab12", "failed_share": 0, "rates": []}')
    work = {"finished": 5.5, "started": 1, "devices": {"kind": "cpu", "held_s": 100, "busy_s": {"m": 50}}}
    store.put(
        "runs/ab12/telemetry.json", json.dumps({"work": [work, work | {"finished": 7.5, "devices": {}}]}).encode()
    )
    found, _ = shown(store, suites=[load_suite(SUITE.format(schedule=schedule), source="s")])
    mine = {"suite": "qa", "spec": "facts"}
    assert of(found, "night_missed", **mine) == missed
    assert of(found, "night_cost", **mine) == pytest.approx(1.0)
    assert of(found, "night_device_seconds", **mine, device="cpu") == 100
    assert of(found, "night_finished_timestamp_seconds", **mine) == 7.5
    assert of(found, "run_cost", run_id="ab12") is None, "a run alone has no suite's prices"
    assert of(shown(store)[0], "night_missed", **mine) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b"null", b'{"work": 7, "checks": [{}]}'])
def test_rubbish_is_counted_and_the_rest_is_shown(store, data):
    write_night(store, failed())
    for key in (
        "suites/qa/nights/2026-11-25-cd.json",
        "suites/qa/gates/2026-11-24-ab12/gate.json",
        "runs/ab12/report.json",
    ):
        store.put(key, data)
    store.put("runs/ab12/telemetry.json", data.replace(b"{}", b"[]"))
    found, trouble = shown(store)
    assert trouble is None
    parts = ("nights", "gates", "reports", "telemetry")
    assert [of(found, "exporter_store_errors_total", part=part) for part in ("listing", *parts)] == [0, 1, 1, 1, 1]
    assert [of(found, "exporter_unreadable", part=part) for part in parts] == [1, 1, 1, 1]
    assert of(found, "night_gate", suite="qa", spec="facts", verdict="FAIL") == 1
    assert of(found, "exporter_up") == 1


def test_a_night_whose_date_is_none_is_rubbish(store):
    store.put("suites/qa/nights/2026-13-45-ab.json", a_night("2026-13-45").model_dump_json().encode())
    found, _ = shown(store)
    assert of(found, "exporter_store_errors_total", part="nights") == 1


def test_a_store_that_goes_away_leaves_what_was_known(store, tmp_path):
    write_night(store, failed())
    exported = Exporter(store, runs=1)
    assert exported.refresh() is None
    before = parsed(exported)
    (tmp_path / "out").rename(tmp_path / "gone")
    (tmp_path / "out").write_text("a file where the folder was")
    (tmp_path / "out").unlink()
    (tmp_path / "out").symlink_to(tmp_path / "out")
    assert "out" in str(exported.refresh())
    after = parsed(exported)
    assert of(after, "exporter_up") == 0
    assert of(after, "exporter_store_errors_total", part="listing") == 1
    changing = {"halluc_ray_exporter_up", "halluc_ray_exporter_store_errors_total"}
    assert {k: v for k, v in after.items() if k[0] not in changing} == {
        k: v for k, v in before.items() if k[0] not in changing
    }


def test_an_empty_store_says_that_it_is_empty(store):
    found, trouble = shown(store)
    assert trouble is None
    assert of(found, "exporter_objects", part="nights") == 0
    assert {name.removeprefix("halluc_ray_exporter_") for name, _ in found} == {
        "up",
        "read_timestamp_seconds",
        "store_errors_total",
        "unreadable",
        "objects",
        "left_out",
    }


def test_labels_and_series_are_bounded(store):
    rates = tuple(
        NightRate(
            system=f"{'系' * 300}{k}\n\"", indicator="i", hallucinated=0, supported=1, rows=1, rate=0, low=0, high=1,
            answered_share=1,
        )
        for k in range(150)
    )  # fmt: skip
    night = failed(rates=rates)
    write_night(store, night)
    keep_gate(store, night, *(check(Verdict.FAIL, k / 1000, {"topic": f"t{k}"}) for k in range(999)))
    for k in range(150):
        write_night(store, a_night("2026-11-23", run_id=f"{k:04x}", spec=f"s{k}"))
    found, _ = shown(store)
    assert max(len(value) for _, labels in found for _, value in labels) <= MAX_LABEL_CHARACTERS
    assert sum(name == "halluc_ray_night_hallucination_rate" for name, _ in found) == 100
    assert sum(name == "halluc_ray_night_check" for name, _ in found) == 50 * 3
    assert sum(name == "halluc_ray_night_info" for name, _ in found) == 100
    assert {what: of(found, "exporter_left_out", what=what) for what in ("specs", "rates", "checks")} == {
        "specs": 51,
        "rates": 50,
        "checks": 949,
    }
    assert of(found, "night_checks", suite="qa", spec="facts", verdict="FAIL") == 999


def test_what_did_not_change_is_read_once(store):
    reads = []

    class Counting(LocalStore):
        def read(self, key):
            reads.append(key)
            return super().read(key)

    write_night(store, failed())
    exported = Exporter(Counting(store.uri), runs=5)
    exported.refresh()
    write_night(store, failed("2026-11-25", run_id="cd"))
    exported.refresh()
    exported.refresh()
    assert reads == ["suites/qa/nights/2026-11-24-ab12.json", "suites/qa/nights/2026-11-25-cd.json"]


def test_nothing_is_written(run, tmp_path):
    report_of(run)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    shown(run.store)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_names_are_declared_once():
    names = [metric.name for metric in (*OF_A_LIVING_RUN, *OF_A_STORE)]
    assert len(set(names)) == len(names)
