"""The gate on whole runs: what it says, which slice it names, and its files read by others' parsers."""

from __future__ import annotations

import json

import pytest
from junitparser import Error, Failure, JUnitXml
from typer.testing import CliRunner

from halluc_ray.cli.app import app
from halluc_ray.errors import SpecError
from halluc_ray.indicators.answer_mismatch import AnswerMismatch
from halluc_ray.suites.gate import gate
from halluc_ray.suites.gate_files import gate_files, junit_xml, markdown
from halluc_ray.suites.policy import load_policy
from halluc_ray.suites.verdicts import Check, GateResult, Verdict
from tests.unit.engine.whole import COLUMNS, begin, spec_of, write

ROWS = 1200
RULES = """
rules:
  - {max_increase: 0.05}
  - {slice: [lang], max_increase: 0.08}
"""


def corpus():
    rows = range(ROWS)
    truth = [str(k) for k in rows]

    def answer(wrong, silent=lambda k: False):
        return ["I don't know." if silent(k) else str(k + 1) if wrong(k) else str(k) for k in rows]

    base = answer(lambda k: k % 10 == 0)
    return {
        "id": [f"q{k}" for k in rows],
        "question": [f"Which number is {k}?" for k in rows],
        "truth": truth,
        "lang": [("en", "zh", "de")[k % 3] for k in rows],
        "base": base,
        "close": answer(lambda k: (k % 10 == 0 and k != 20) or k in (33, 66)),
        "worse": answer(lambda k: k % 10 == 0 or (k % 3 == 1 and k % 2 == 0)),
        "silent": answer(lambda k: k % 100 == 0, silent=lambda k: k % 10 == 0),
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gated")
    table = corpus()
    write(folder / "corpus" / "x.parquet", table, group_rows=600)

    def run(column, **changes):
        mapped = {"columns": {**COLUMNS, "response": column}, **changes}
        spec = spec_of(folder / "corpus", folder / "out", corpus=mapped, slices=["lang"], engine={"shard_rows": 600})
        return begin(spec).uri

    runs = {column: run(column) for column in ("base", "close", "worse", "silent")}
    return runs | {"few": run("worse", limit=30), "few_base": run("base", limit=30)}


def policy(text=RULES):
    return load_policy(text, source="gate.yaml")


def test_a_run_that_is_as_good_passes(runs):
    result = gate(runs["close"], policy=policy(), baseline=runs["base"])
    assert result.verdict is Verdict.PASS
    assert result.reason.startswith("all 8 checks passed")


def test_a_run_that_is_worse_fails_and_its_worst_slice_is_named(runs):
    result = gate(runs["worse"], policy=policy(), baseline=runs["base"])
    assert result.verdict is Verdict.FAIL
    assert result.worst.slice == {"lang": "zh"}
    failed = {(check.limit, check.slice.get("lang")) for check in result.checks if check.verdict is Verdict.FAIL}
    assert failed == {("max_increase", None), ("max_increase", "zh")}
    zh = next(check for check in result.checks if check.slice == {"lang": "zh"} and check.limit == "max_increase")
    table = corpus()
    mine = [k for k in range(ROWS) if table["lang"][k] == "zh"]
    wrong = {name: sum(table[name][k] != table["truth"][k] for k in mine) for name in ("base", "worse")}
    assert zh.value == pytest.approx((wrong["worse"] - wrong["base"]) / len(mine))
    assert "lang=zh" in result.reason


def test_falling_silent_is_no_way_to_pass(runs):
    result = gate(runs["silent"], policy=policy("rules: [{max_increase: 0.05}]"), baseline=runs["base"])
    by_limit = {check.limit: check.verdict for check in result.checks}
    assert by_limit == {"max_increase": Verdict.PASS, "max_answered_drop": Verdict.FAIL}
    assert result.verdict is Verdict.FAIL
    rates = policy("rules: [{max_rate: 0.5}]")
    assert gate(runs["silent"], policy=rates).verdict is Verdict.PASS
    assert gate(runs["silent"], policy=rates, baseline=runs["base"]).verdict is Verdict.FAIL
    lax = policy("rules: [{max_increase: 0.05, max_answered_drop: 1}]")
    assert gate(runs["silent"], policy=lax, baseline=runs["base"]).verdict is Verdict.PASS


def test_a_corpus_that_is_too_small_says_so(runs):
    result = gate(runs["few"], policy=policy("rules: [{max_increase: 0.02}]"), baseline=runs["few_base"])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "too few rows tell" in result.reason
    assert result.checks[0].detectable > 0.02


def test_a_corpus_that_grew_is_paired_by_id(runs):
    result = gate(runs["worse"], policy=policy("rules: [{max_increase: 0.3}]"), baseline=runs["few_base"])
    assert result.by == "id"
    assert result.checks[0].rows == 30
    assert "30 units have a partner by id; 0 are in the baseline alone and 1,170 in the run alone" in result.notes[0]


def test_a_baseline_of_another_definition_is_told(runs, tmp_path, monkeypatch):
    write(tmp_path / "corpus" / "x.parquet", corpus())
    mapped = {"columns": {**COLUMNS, "response": "base"}}

    def again():
        return begin(spec_of(tmp_path / "corpus", tmp_path / "out", corpus=mapped)).uri

    before = again()
    monkeypatch.setattr(AnswerMismatch, "semantics_version", 99)
    lenient = policy("rules: [{max_increase: 0.5}]")
    assert gate(again(), policy=lenient, baseline=before).notes == (
        "indicator answer_mismatch has another definition (answer_mismatch, version 1) in the baseline: "
        "an increase is not the systems' alone",
    )
    assert gate(before, policy=lenient, baseline=before).notes == ()


def test_an_unchanged_run_passes_at_any_size(runs):
    strict = policy("rules: [{max_increase: 0.0001}]")
    assert gate(runs["few"], policy=strict, baseline=runs["few"]).verdict is Verdict.PASS


def test_without_a_baseline_rates_are_held_and_increases_are_not(runs):
    rates = policy("rules: [{max_rate: 0.2, min_answered_share: 0.9}]")
    assert gate(runs["base"], policy=rates).verdict is Verdict.PASS
    assert gate(runs["worse"], policy=rates).verdict is Verdict.FAIL
    assert gate(runs["silent"], policy=policy("rules: [{min_answered_share: 0.95}]")).verdict is Verdict.FAIL
    result = gate(runs["base"], policy=policy())
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "there is no baseline" in result.reason


def test_small_cells_are_told_and_not_judged(runs):
    rules = policy("rules: [{max_rate: 0.5}, {slice: [lang], max_rate: 0.01, min_rows: 401}]")
    result = gate(runs["base"], policy=rules)
    assert (result.verdict, result.not_judged) == (Verdict.PASS, 3)
    with pytest.raises(SpecError, match="asks nothing"):
        gate(runs["base"], policy=policy("rules: [{slice: [lang], max_rate: 0.01, min_rows: 401}]"))


def test_a_cell_that_is_gone_is_not_passed(runs):
    result = gate(runs["base"], policy=policy("rules: [{slice: {lang: fr}, max_rate: 0.5}]"))
    assert (result.verdict, result.checks[0].slice) == (Verdict.INCONCLUSIVE, {"lang": "fr"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: []", "rules.*must not be empty"),
        ("rules: [{indicator: x}]", "a rule needs a limit"),
        ("rules: [{max_increase: 0}]", r"rules\[0\].max_increase"),
        ("rules: [{max_rat: 0.1}]", "did you mean 'max_rate'"),
        ("[1]", "a policy is a mapping"),
        ("", "a policy is a mapping"),
        ("rules: [{slice: lang, max_rate: 0.1}]", r"rules\[0\].slice .*lang.* must be"),
        ("rules: [{slice: {lang: 1.5}, max_rate: 0.1}]", r"rules\[0\].slice.lang"),
        ("confidence: 2\nrules: [{max_rate: 0.1}]", "confidence"),
        ("rules: [{max_rate: nan}]", "max_rate"),
    ],
)
def test_a_policy_that_is_none_is_refused(text, message):
    with pytest.raises(SpecError, match=message):
        policy(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [{indicator: hhem, max_rate: 0.1}]", r"rules\[0\].indicator: .*'hhem'; it has answer_mismatch"),
        ("rules: [{system: nobody, max_rate: 0.1}]", r"rules\[0\].system: .*'nobody'; it has clerk"),
        ("rules: [{slice: [topic], max_rate: 0.1}]", r"no slice by topic; its slices: lang"),
    ],
)
def test_a_policy_for_another_run_is_refused(runs, text, message):
    with pytest.raises(SpecError, match=message):
        gate(runs["base"], policy=policy(text))


def test_junit_is_read_by_a_junit_parser(runs):
    result = gate(runs["worse"], policy=policy(), baseline=runs["base"])
    xml = JUnitXml.fromstring(junit_xml(result))
    [suite] = list(xml)
    cases = list(suite)
    assert (suite.tests, suite.failures, suite.errors) == (8, 2, 0)
    assert [bool(case.result) for case in cases] == [check.verdict is not Verdict.PASS for check in result.checks]
    assert all(isinstance(case.result[0], Failure) for case in cases if case.result)
    assert {case.classname for case in cases} == {"clerk.answer_mismatch"}
    undecided = JUnitXml.fromstring(junit_xml(gate(runs["base"], policy=policy("rules: [{max_increase: 0.1}]"))))
    [case] = list(next(iter(undecided)))
    assert isinstance(case.result[0], Error)


def test_no_text_breaks_the_files():
    evil = "a\x00\x1b|<script>`&]]>\n# \ud800 中文"
    check = Check(evil, evil, {evil: evil}, "max_rate", 0.1, 5, 0.2, 0.1, 0.3, None, 0.01, Verdict.FAIL, evil)
    result = GateResult(1, Verdict.FAIL, evil, "r", None, None, 0.95, 0.8, 3, None, (evil,), (check,))
    xml = JUnitXml.fromstring(junit_xml(result))
    [case] = list(next(iter(xml)))
    assert "<script>" in case.result[0].message
    assert "中文" in case.result[0].message
    text = markdown(result)
    assert "<script" not in text
    row = next(line for line in text.splitlines() if line.startswith("| FAIL"))
    assert len(row.replace("\\|", "").split("|")) == 12


def test_the_command(runs, tmp_path):
    (tmp_path / "gate.yaml").write_text(RULES)

    def run(*arguments):
        return CliRunner().invoke(app, ["gate", *arguments, "--policy", str(tmp_path / "gate.yaml")])

    failed = run(runs["worse"], "--baseline", runs["base"], "--save", str(tmp_path / "gate"))
    assert failed.exit_code == 1, failed.output
    assert "FAIL: " in failed.output
    assert "lang=zh" in failed.output
    assert json.loads((tmp_path / "gate" / "gate.json").read_text())["verdict"] == "FAIL"
    assert (tmp_path / "gate" / "gate.md").read_text().startswith("# Gate: FAIL")
    passed = run(runs["close"] + "#clerk", "--baseline", runs["base"], "--json")
    assert (passed.exit_code, json.loads(passed.output)["verdict"]) == (0, "PASS")
    assert run(runs["base"]).exit_code == 5
    (tmp_path / "file").write_text("")
    assert run(runs["base"], "--save", str(tmp_path / "file")).exit_code == 2


def test_the_same_gate_has_the_same_bytes(runs):
    first = gate_files(gate(runs["worse"], policy=policy(), baseline=runs["base"]))
    assert first == gate_files(gate(runs["worse"], policy=policy(), baseline=runs["base"]))
