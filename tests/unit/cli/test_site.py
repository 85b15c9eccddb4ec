"""The site from the command line: made beside the suite or elsewhere, and never a reason for a night to fail."""

import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from halluc_ray.cli.app import app
from halluc_ray.cli.nightly import run_suite
from halluc_ray.cli.site import render_after_night
from halluc_ray.storage import open_store
from halluc_ray.suites.nights import read_nights
from halluc_ray.suites.suite import load_suite
from tests.unit.suites.histories import made_history
from tests.unit.suites.hooks import hook


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A history of records alone, whose runs are gone."""
    monkeypatch.chdir(tmp_path)
    made_history(open_store(str(tmp_path / "out")), nights=3, systems=1)
    (tmp_path / "suite.yaml").write_text("name: long\nspecs: [qa.yaml]\n")
    return tmp_path


def test_the_site_is_made_where_it_is_asked_for(here):
    said = CliRunner().invoke(app, ["site", "suite.yaml", "--out", "elsewhere"])
    assert said.exit_code == 0, said.output
    assert f"Site  {here / 'elsewhere' / 'site' / 'long' / 'index.html'}" in said.output
    assert (here / "elsewhere" / "site" / "index.html").is_file()
    assert not (here / "out" / "site").exists()
    assert said.stderr.count("note: no page of 20") == 3


def test_a_suite_without_a_night_is_told(here):
    said = CliRunner().invoke(app, ["site", "suite.yaml", "--set", "output=elsewhere"])
    assert said.exit_code == 0
    assert "note: suite long has no night in elsewhere yet" in said.stderr


def test_a_rule_that_is_none_is_refused(here):
    said = CliRunner().invoke(app, ["site", "suite.yaml", "--set", "publish.samples=some"])
    assert said.exit_code == 2
    assert "publish.samples" in said.stderr


def test_a_site_that_can_not_be_made_is_a_warning(here, capsys):
    (here / "out" / "site").write_text("in the way")
    suite = load_suite((here / "suite.yaml").read_text(), source="suite.yaml")
    nights = read_nights(open_store("out"), "long")
    assert render_after_night(suite, nights[-1:]) is None
    assert capsys.readouterr().err.startswith("warning: the site is not up to date: ")


def test_a_night_without_a_record_leaves_the_site_as_it_is(here, capsys):
    assert run_suite("suite.yaml", date="2026-11-25") == 2
    out = capsys.readouterr()
    assert "no spec at qa.yaml" in out.err
    assert "Site  " not in out.out
    assert not (here / "out" / "site").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("hears_interrupts")
def test_a_night_that_is_interrupted_while_it_tells_ends_in_4(here, number):
    with hook((200, {}, 20.0)) as slow:
        command = [sys.executable, "-m", "halluc_ray.cli.app", "nightly", "suite.yaml"]
        command += ["--set", f"notify=[{{url: '{slow.url}'}}]"]
        night = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 30
        while not slow.bodies and time.monotonic() < deadline:
            time.sleep(0.05)
        night.send_signal(number)
        said = night.communicate(timeout=30)[1]
    assert night.returncode == 4, said
    assert "Interrupted: what was committed stays" in said
