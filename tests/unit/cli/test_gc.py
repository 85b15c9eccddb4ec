"""What `halluc-ray gc` takes, prints and ends with."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from halluc_ray.cli.app import app
from halluc_ray.cli.gc import seconds
from halluc_ray.errors import SpecError
from tests.unit.engine.whole import answers, begin, spec_of, write
from tests.unit.retention.aged import age


def gc(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["gc", *arguments])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output root with an old run, a young one of the same answers, and a lost attempt."""
    corpus = write(tmp_path / "c" / "one.parquet", answers(range(10)))
    old = begin(spec_of(corpus, tmp_path / "out"))
    old.store.put(f"stages/{old.record().systems[0].generate}/parts/{'0' * 32}.dead.parquet", b"x" * 2000)
    age(tmp_path / "out", 31)
    begin(spec_of(corpus, tmp_path / "out", slices=["topic"]))
    return tmp_path / "out"


def test_the_whole_way(out: Path) -> None:
    store = str(out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    code, text, _ = gc(store, "--keep", "30d", "--dry-run")
    assert code == 0
    assert text.count("would be marked") == 3
    assert "What waits would be freed by a call after" in text
    assert "young" in text
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before

    code, text, _ = gc(store, "--keep", "30d")
    assert code == 0
    [attempt] = [line.split() for line in text.splitlines() if "unfinished attempt" in line]
    assert attempt == ["marked", "unfinished", "attempt", "1", "1", "1", "2.0", "kB"]
    age(out, 1.01, under="gc/")
    code, text, _ = gc(store, "--keep", "30d", "--json")
    told = json.loads(text)
    assert {(total["state"], total["reason"]) for total in told["totals"]} == {
        ("freed", "unfinished attempt"),
        ("freed", "unreferenced stage"),
        ("freed", "old run"),
    }
    assert [run["why"] for run in told["kept"]] == [["young"]]
    code, text, _ = gc(store, "--keep", "30d")
    assert (code, text.splitlines()[0]) == (0, f"No garbage in {store}: 3 stages, 1 runs.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--keep", "30"), "--keep '30' is no length of time; write 30d, 12h or 45m"),
        (("--keep", "30d", "--wait", "soon"), "--wait 'soon' is no length of time"),
        (("--keep", "5m"), "runs are kept for an hour at least, not 300 s"),
    ],
)
def test_refusals(out: Path, arguments: tuple[str, ...], message: str) -> None:
    code, _, said = gc(str(out), *arguments)
    assert code == 2
    assert message in said


def test_a_folder_that_is_no_output_root(tmp_path: Path) -> None:
    code, _, said = gc(str(tmp_path), "--keep", "30d")
    assert code == 2
    assert "is no output root" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "d", "-1d", "1.5d", "1w", "30 d", "99999999d"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(SpecError, match="is no length of time"):
        seconds("--keep", text)
