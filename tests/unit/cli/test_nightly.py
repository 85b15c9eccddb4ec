"""What a night ends with, and what the job's command line takes."""

import pytest

from halluc_ray.cli.job import NIGHTLY_USAGE, nightly_in_job
from halluc_ray.cli.nightly import cost_words, night_exit_code
from halluc_ray.errors import InputError, RunIncomplete, SpecError, StoreUnavailable
from halluc_ray.suites.nightly import SpecNight, SuiteNight
from halluc_ray.suites.nights import NightGate
from halluc_ray.suites.verdicts import Verdict
from tests.unit.suites.test_nights import a_night


def recorded(verdict=None, **changes):
    gate = NightGate(verdict=verdict, reason="r", policy="p") if verdict else None
    return SpecNight("s", night=a_night("2026-11-24", gate=gate, **changes))


def failed(error):
    return SpecNight("s", error=error)


@pytest.mark.parametrize(
    ("specs", "code"),
    [
        ([recorded()], 0),
        ([recorded(Verdict.PASS), recorded()], 0),
        ([recorded(Verdict.PASS), recorded(Verdict.INCONCLUSIVE)], 5),
        ([recorded(Verdict.INCONCLUSIVE), recorded(too_many_failed=True)], 3),
        ([recorded(Verdict.FAIL), recorded(Verdict.INCONCLUSIVE), recorded(too_many_failed=True)], 1),
        ([recorded(Verdict.FAIL), failed(RunIncomplete("x"))], 4),
        ([recorded(Verdict.PASS), failed(StoreUnavailable("x"))], 4),
        ([failed(RunIncomplete("x")), failed(InputError("x"))], 2),
        ([failed(SpecError("x")), recorded(Verdict.FAIL)], 2),
    ],
)
def test_the_worst_spec_decides(specs, code):
    assert night_exit_code(SuiteNight("qa", "2026-11-24", tuple(specs), ())) == code


@pytest.mark.parametrize(
    "arguments", [[], ["--date", "x"], ["s.yaml", "--date"], ["s.yaml", "--save", "x"], ["s.yaml", "x"]]
)
def test_a_job_says_how_it_is_called(arguments, capsys):
    assert nightly_in_job(arguments) == 2
    assert capsys.readouterr().err.strip() == NIGHTLY_USAGE


@pytest.mark.parametrize(
    ("money", "words"),
    [(None, ""), (0.0, "; 0.00 by"), (1.86e-06, "; less than 0.01 by"), (1234.567, "; 1,234.57 by")],
)
def test_money_is_said_as_money(money, words):
    assert cost_words({"cpu": 12.34}, money).startswith(f"; so far the run held cpu for 12.3 device-seconds{words}")


def test_a_job_refuses_an_output_that_vanishes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qa.yaml").write_text(
        "corpus: {uri: answers}\nsystems: [{kind: recorded, name: m}]\nindicators: [{kind: answer_mismatch}]\n"
    )
    (tmp_path / "suite.yaml").write_text("name: qa\nspecs: [qa.yaml]\n")
    assert nightly_in_job(["suite.yaml", "--date", "2026-11-24"]) == 2
    assert "is a local folder, which vanishes with the job's working directory" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
