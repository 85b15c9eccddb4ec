"""What a Ray job's workers would not see is refused."""

from __future__ import annotations

import pytest

from halluc_ray.cli.job import check_job_paths, evaluate_in_job
from halluc_ray.config import load_spec
from halluc_ray.errors import SpecError

SPEC = """\
corpus: {uri: s3://evals/corpus}
systems: [{kind: causal-lm, name: m, checkpoint: s3://evals/ckpt}, {kind: recorded, name: human}]
indicators: [{kind: recorded_label, column: x}]
output: s3://evals/out
"""


def check(working_dir, *overrides: str) -> None:
    check_job_paths(load_spec(SPEC, source="s", overrides=overrides), working_dir=working_dir)


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "submitted"
    (folder / "corpus").mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("override", ["corpus.uri=corpus/*.parquet", "systems.0.checkpoint=org/name", "max_failed=0"])
def test_paths_inside_and_hub_ids_pass(here, override):
    check(here, override)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("output=./out", "output: ./out is a local folder, which vanishes"),
        ("output=/data/out", "output: /data/out is a local folder"),
        ("corpus.uri=/data/corpus", "corpus.uri: /data/corpus lies outside the job's working directory"),
        ("corpus.uri=../corpus", r"corpus.uri: \.\./corpus lies outside"),
        ("corpus.uri=corpus/../../x", "lies outside"),
        ("systems.0.checkpoint=~/ckpt", r"systems\[0\].checkpoint: ~/ckpt lies outside"),
        ("systems.0.adapter=../lora", r"systems\[0\].adapter: ../lora lies outside"),
    ],
)
def test_others_are_refused_with_the_reason(here, override, named):
    with pytest.raises(SpecError, match=named):
        check(here, override)


def test_a_link_out_of_the_folder_is_outside(here, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (here / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="lies outside"):
        check(here, "corpus.uri=link")


def test_the_spec_itself(here, tmp_path, capsys):
    (tmp_path / "s.yaml").write_text(SPEC)
    assert evaluate_in_job(["../s.yaml"]) == 2
    assert "the spec ../s.yaml lies outside" in capsys.readouterr().err
    assert evaluate_in_job([]) == 2
    assert evaluate_in_job(["s.yaml", "--sett", "a=1"]) == 2
    assert "usage: python -m jobs.evaluate SPEC" in capsys.readouterr().err


def test_overrides_reach_the_check(here, capsys):
    (here / "s.yaml").write_text(SPEC)
    assert evaluate_in_job(["s.yaml", "--set", "output=./out"]) == 2
    assert "vanishes" in capsys.readouterr().err
