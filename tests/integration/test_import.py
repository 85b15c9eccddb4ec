"""The command `import` as people run it: what it prints and returns, its memory, and what a kill leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from benchmarks.import_memory import MAPPING, measured, write_source
from halluc_ray.evaluation import prepare
from halluc_ray.evaluation.reading import read_spec

HALLUC_RAY = Path(sys.executable).with_name("halluc-ray")
ENVIRONMENT = os.environ | {"COLUMNS": "200"}
FORGIVING = ("--max-rejected", "0.02", "--overwrite")


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(HALLUC_RAY), "import", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env=ENVIRONMENT)


def test_memory_does_not_grow_with_the_source(tmp_path: Path) -> None:
    peaks = []
    for megabytes in (12, 36):
        lines = write_source(tmp_path / "a.jsonl", megabytes)
        found = measured(tmp_path / "a.jsonl", tmp_path / f"out-{megabytes}")
        assert found["records"] == lines == found["rows"] + found["rejected"]
        assert found["rejected"] == -(-lines // 1000)
        peaks.append(found["peak"])
    assert peaks[1] / peaks[0] < 1.10


def test_an_import_says_what_it_did_and_what_to_do_next(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    lines = [json.dumps({"qid": n % 40, "question": {"text": "什么?"}, "tags": []}) for n in range(60)]
    source.write_text("\n".join([*lines, '{"qid"']), encoding="utf-8")
    look = run(source)
    assert (look.returncode, "question.text" in look.stdout, "Nothing was imported" in look.stdout) == (2, True, True)
    assert f"halluc-ray import {source} OUT --map id=qid,prompt=question.text" in look.stdout
    done = run(source, tmp_path / "out", "--map", "id=qid,prompt=question.text,lang='zh'")
    assert done.returncode == 3
    assert "61 records = 60 imported + 1 rejected; 1 Parquet file" in done.stdout
    assert "20 rows have an id that a row before them has" in done.stdout
    assert "nested fields were left out: tags" in done.stdout
    assert "a.jsonl line 61" in done.stdout
    assert "1.64 % of the records were rejected, --max-rejected allows 1 %" in done.stderr
    allowed = run(source, tmp_path / "out", "--map", "id=qid,prompt=question.text", *FORGIVING)
    assert (allowed.returncode, allowed.stderr) == (0, "")
    slip = run(source, tmp_path / "out", "--map", "id=qid,promt=question.text,text='x'", *FORGIVING)
    assert "column promt: did you mean prompt?" in slip.stdout
    assert slip.stdout.count("did you mean") == 1


def test_an_imported_corpus_is_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n;q;a;r\n1;2+2?;4;4\n2;3+3?;6;five\n")
    out = "out, {1}: #2"
    done = run("a.csv", out, "--map", "id=n,prompt=q,reference=a,response=r", cwd=tmp_path)
    assert done.returncode == 0
    assert pq.read_table(tmp_path / out).num_rows == 2
    spec = tmp_path / "spec.yaml"
    printed = next(line for line in done.stdout.splitlines() if line.startswith("Spec"))
    spec.write_text(
        f"{printed.removeprefix('Spec').strip()}\n"
        "systems: [{kind: recorded, name: mine}]\nindicators: [{kind: answer_mismatch}]\n"
        f"output: {tmp_path / 'runs'}\n"
    )
    assert prepare(read_spec(str(spec))).corpus_rows == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--map", "id=q"], "OUT is missing"),
        (["out", "--map", "id="], "is no path"),
        (["out", "--map", "id=q", "--preset", "lm-eval"], "exclude each other"),
        (["out", "--preset", "helm"], "there are lm-eval, lighteval"),
        (["out", "--map", "prompt=q", "--id", "q"], "--map id=q"),
        (["out", "--map", "id=q", "--format", "xml"], "there are jsonl"),
        (["out", "--map", "id=q", "--encoding", "klingon"], "is not known"),
        (["out", "--map", "id=q", "--delimiter", "::"], "is not one character"),
        (["out", "--map", "id=q", "--nan", "zero"], "reject and null"),
        (["/proc/out", "--map", "id=q"], "can not write"),
    ],
)
def test_what_can_not_be_done_is_one_message_and_code_2(tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "a.jsonl").write_text('{"q": 1}\n')
    done = run("a.jsonl", *arguments, cwd=tmp_path)
    assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_torch_and_ray_stay_out(tmp_path: Path) -> None:
    datasets.Dataset.from_dict({"id": [1, 2]}).save_to_disk(str(tmp_path / "saved"))
    code = """
import sys
from halluc_ray.cli.app import main
sys.argv = ["halluc-ray", "import", "saved", "out", "--map", "id=id"]
try:
    main()
except SystemExit as end:
    assert end.code == 0
assert "datasets" in sys.modules
assert not {"torch", "ray", "transformers", "mendeleev", "babel"} & set(sys.modules)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_kill_leaves_no_half_corpus(tmp_path: Path, how: signal.Signals, hears_interrupts: None) -> None:
    source, out = tmp_path / "a.jsonl", tmp_path / "out"
    lines = write_source(source, 25)
    command = [str(HALLUC_RAY), "import", str(source), str(out), "--map", MAPPING]
    importing = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    staging = tmp_path / ".out.importing"
    deadline = time.monotonic() + 60
    while not list(staging.glob("*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    importing.send_signal(how)
    _, stderr = importing.communicate(timeout=60)
    assert not out.exists()
    if how is not signal.SIGKILL:
        assert (importing.returncode, "no corpus was written" in stderr, staging.exists()) == (4, True, False), stderr
        return
    assert importing.returncode == -signal.SIGKILL
    assert run(source, out, "--map", MAPPING).returncode == 0
    assert pq.read_table(out).num_rows == lines - -(-lines // 1000)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "out"]


def test_a_full_disk_is_an_error_with_words(tmp_path: Path) -> None:
    write_source(tmp_path / "a.jsonl", 8)
    limit = f"ulimit -f 1000; exec {HALLUC_RAY} import a.jsonl out --map {MAPPING!r}"
    done = subprocess.run(["bash", "-c", limit], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert "free some space" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]
