"""What a suite may say, and the specs that it stands for on a date."""

import pytest

from halluc_ray.errors import InputError, SpecError
from halluc_ray.suites.gating import policy_of
from halluc_ray.suites.nightly import run_night
from halluc_ray.suites.reading import read_suite
from halluc_ray.suites.suite import load_suite
from halluc_ray.suites.tonight import spec_of_tonight

SPEC = """\
corpus: {uri: s3://answers/old, columns: {id: id, prompt: q, reference: truth}}
systems: [{kind: causal-lm, name: base, checkpoint: org/base}]
indicators: [{kind: answer_mismatch, mode: contains}]
slices: [topic, [topic, lang]]
output: elsewhere
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "facts.yaml").write_text(SPEC)
    for date in ("2026-11-23", "2026-11-24"):
        (tmp_path / "models" / date).mkdir(parents=True)
        (tmp_path / "models" / date / "config.json").write_text("{}")
    return tmp_path


def load(text, **changes):
    return load_suite(text, source="suite.yaml", **changes)


def test_a_suite_in_two_lines_leaves_specs_as_they_are_but_for_the_output(here):
    suite = load("name: qa\nspecs: [facts.yaml]\n")
    tonight = spec_of_tonight(suite, suite.specs[0], date="2026-11-24")
    assert suite.specs[0].name == "facts"
    assert tonight.spec.output == str(here / "out")
    assert tonight.spec.systems[0].checkpoint == "org/base"
    assert tonight.spec.slices == ("topic", ("topic", "lang"))
    assert tonight.spec.indicators[0].options == {"mode": "contains"}
    assert tonight.checkpoints == {}


def test_systems_slices_and_dates_are_put_in(here):
    suite = load(
        """
name: qa
specs: [{spec: facts.yaml, set: ["corpus.uri={output}/answers/{date}", "engine.actors=2"]}]
systems: [{kind: causal-lm, name: tuned, checkpoint: "models/{date}", template: "{prompt}?"}]
slices: [[topic, lang], split]
output: s3://evals/out
"""
    )
    tonight = spec_of_tonight(suite, suite.specs[0], date="2026-11-23")
    assert tonight.spec.corpus.uri == "s3://evals/out/answers/2026-11-23"
    assert tonight.spec.engine.actors == 2
    assert [(s.name, s.checkpoint, s.template) for s in tonight.spec.systems] == [
        ("tuned", "models/2026-11-23", "{prompt}?")
    ]
    assert tonight.checkpoints == {"tuned": "2026-11-23"}
    assert tonight.spec.slices == ("topic", ("topic", "lang"), "split")
    assert tonight.spec.output == "s3://evals/out"


def test_names_may_be_of_any_script():
    suite = load("name: 每夜\nspecs: [规格/问题.yaml]")
    assert (suite.name, suite.specs[0].name) == ("每夜", "问题")


def test_overrides_change_a_suite():
    suite = load("name: qa\nspecs: [a.yaml]\n", overrides=["output=s3://evals/out", "devices.H100.max_seconds=9"])
    assert suite.output == "s3://evals/out"
    assert suite.devices["H100"].max_seconds == 9


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "suite.yaml: a suite is a mapping with the keys name and specs"),
        ("[]", "suite.yaml: a suite is a mapping"),
        ("name: qa\nspecs: []", "specs (line 2): must not be empty"),
        ("name: a/b\nspecs: [x.yaml]", "name (line 1): 'a/b' can't name it: letters, digits"),
        ("name: qa\nspecs: [a b.yaml]", "'a b' can't name it"),
        ("name: qa\nspecs: [a.yaml, b/a.yaml]", "specs: two are called 'a'; give each its own `name`"),
        ("name: qa\nspecs: [a.yaml]\nshedule: daily", "shedule (line 3)"),
        ("name: qa\nspecs: [a.yaml]\nschedule: hourly", "schedule (line 3)"),
        ("name: qa\nspecs: [a.yaml]\nbaseline: yesterday", "baseline"),
        ("name: qa\nspecs: [a.yaml]\nnotify: [{form: slack}]", "set one of `url` and `url_env`"),
        ("name: qa\nspecs: [a.yaml]\nnotify: [{url: 'ftp://x'}]", "notify[0] (line 3): `url` must begin with http"),
        ("name: qa\nspecs: [a.yaml]\ndevices: {H100: {price_per_hour: -1}}", "devices.H100.price_per_hour (line 3)"),
        ("name: qa\nspecs: [7]", "specs[0]"),
        ("name: qa\nspecs: [{spec: a.yaml, set: x}]", "specs[0].set"),
    ],
)
def test_what_is_no_suite_is_said_with_its_line(text, problem):
    with pytest.raises(SpecError) as trouble:
        load(text)
    assert problem in str(trouble.value)


def test_an_address_that_is_none_is_not_repeated():
    with pytest.raises(SpecError) as trouble:
        load("name: qa\nspecs: [a.yaml]\nnotify: [{url: hooks.slack.com/services/SECRET}]")
    assert "SECRET" not in str(trouble.value)


def test_a_suite_that_is_not_there(here):
    with pytest.raises(SpecError, match=r"no suite at nightly.yaml .*; in that folder: facts.yaml"):
        read_suite("nightly.yaml")


def test_one_specs_failure_keeps_no_other_from_its_night(here):
    suite = load(
        'name: qa\nspecs: [none.yaml, facts.yaml]\nsystems: [{kind: causal-lm, name: t, checkpoint: "models/{date}"}]'
    )
    night = run_night(suite, date="2026-11-25")
    assert [type(spec.error) for spec in night.specs] == [SpecError, InputError]
    assert "no checkpoint at models/2026-11-25; the last ones in models: 2026-11-23, 2026-11-24" in str(
        night.specs[1].error
    )
    assert not (here / "out").exists()


def test_a_policy_that_is_not_there(here):
    with pytest.raises(SpecError, match=r"no policy at gate.yaml "):
        policy_of(load("name: qa\nspecs: [facts.yaml]\ngate: gate.yaml"))


def test_a_spec_in_place_of_a_suite():
    with pytest.raises(SpecError, match="is a spec, not a suite; name it under `specs` of a suite"):
        load(SPEC)
