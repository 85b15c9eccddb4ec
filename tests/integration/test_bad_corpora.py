"""Corpora as they are found: nulls, broken files, repeated ids, huge rows, wrong bytes and types."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.config import RunSpec
from halluc_ray.errors import BadRow, InputChanged, InputError, SpecError
from halluc_ray.evaluation import Evaluation, evaluate

Run = Callable[..., Evaluation]


@pytest.fixture
def run(tmp_path: Path, ray_here: None) -> Run:
    """Evaluate recorded answers of a corpus under tmp_path/corpus."""

    def evaluate_with(output: str = "out", **changes: Any) -> Evaluation:
        columns = {"id": "id", "prompt": "question", "reference": "truth", "response": "answer"}
        corpus = {"uri": str(tmp_path / "corpus"), "columns": columns} | changes.pop("corpus", {})
        fields = {
            "corpus": corpus,
            "systems": [{"kind": "recorded", "name": "clerk"}],
            "indicators": [{"kind": "answer_mismatch"}],
            "output": str(tmp_path / output),
            "engine": {"shard_rows": 4, "actors": 1},
        }
        return evaluate(RunSpec.model_validate(fields | changes))

    return evaluate_with


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    return folder


def write(folder: Path, name: str = "a.parquet", **columns: Any) -> Path:
    rows = len(next(iter(columns.values())))
    base = {
        "id": [f"{name}-{k}" for k in range(rows)],
        "question": ["?"] * rows,
        "truth": ["yes"] * rows,
        "answer": ["yes"] * rows,
    }
    pq.write_table(pa.table(base | columns), folder / name, row_group_size=6)
    return folder / name


def overall(evaluation: Evaluation) -> dict[str, Any]:
    return next(rate for rate in evaluation.report["rates"] if not rate["slice"])


def outcomes(evaluation: Evaluation) -> tuple[int, ...]:
    names = ("hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed")
    return tuple(overall(evaluation)[name] for name in names)


def test_nulls_have_their_own_outcomes(corpus: Path, run: Run) -> None:
    write(corpus, answer=["yes", None, "no", "yes"], truth=["yes", "yes", None, "yes"], question=["?", "?", "?", None])
    done = run()
    assert outcomes(done) == (0, 1, 0, 0, 1, 2)
    assert done.report["systems"][0]["failures"] == {"null_prompt": 1, "null_response": 1}


def test_stop_names_the_rows(corpus: Path, run: Run) -> None:
    path = write(corpus, answer=["yes", None, "no", None])
    with pytest.raises(BadRow, match=r"row group 0.*'answer'.*2 null.*1, 3.*fail_row") as caught:
        run(corpus={"on_bad_row": "stop"})
    assert str(path) in str(caught.value)


def test_stop_holds_for_what_indicators_read_too(corpus: Path, run: Run) -> None:
    write(corpus, answer=["yes", "no"], truth=pa.array([b"yes", b"\xff"]))
    with pytest.raises(BadRow, match=r"'truth' has 1 undecodable value\(s\) \(rows 1 "):
        run(corpus={"on_bad_row": "stop"})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"id,answer\n1,yes\n", "not.*Parquet|no Parquet"), (None, "cut")],
    ids=["empty", "csv", "cut"],
)
def test_broken_files_are_named(corpus: Path, run: Run, content: bytes | None, said: str) -> None:
    whole = write(corpus, answer=["yes"] * 8)
    broken = corpus / "b.parquet"
    broken.write_bytes(whole.read_bytes()[:-40] if content is None else content)
    with pytest.raises(InputError, match=said) as caught:
        run()
    assert "b.parquet" in str(caught.value)


def test_a_damaged_page_is_located(corpus: Path, run: Run) -> None:
    path = write(corpus, answer=[f"answer number {k}" for k in range(6)])
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(3)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 12] = b"\xff" * 12
    path.write_bytes(data)
    with pytest.raises(Exception, match=r"row group 0, column 'answer'") as caught:
        run()
    assert "a.parquet" in str(caught.value)


def test_repeated_ids_within_and_across_shards_are_counted(corpus: Path, run: Run) -> None:
    write(corpus, id=["a", "a", "b", "c"], answer=["yes"] * 4)
    write(corpus, "b.parquet", id=["b", "d", "e", "f"], answer=["no"] * 4)
    done = run()
    assert done.report["corpus"]["duplicate_ids"] == {"ids": 2, "rows": 2, "examples": ["a", "b"]}
    assert outcomes(done) == (4, 4, 0, 0, 0, 0)


def test_a_row_of_a_megabyte(corpus: Path, run: Run) -> None:
    write(corpus, truth=["Paris"] * 3, answer=["Paris", "Paris " * 200_000, "paris"])
    assert outcomes(run()) == (1, 2, 0, 0, 0, 0)


def test_bytes_that_are_no_utf8_fail_their_row(corpus: Path, run: Run) -> None:
    write(corpus, answer=pa.array([b"yes", b"\xff\xfe", b"no"]), truth=pa.array([b"yes", b"yes", b"\xc3\x28"]))
    done = run()
    assert outcomes(done) == (0, 1, 0, 0, 0, 2)
    assert done.report["systems"][0]["failures"] == {"undecodable_response": 1}


@pytest.mark.parametrize("column", ["answer", "truth", "id", "topic"])
def test_a_string_column_that_breaks_its_promise(corpus: Path, run: Run, column: str) -> None:
    values = pa.array([b"yes", b"\xff", b"no"], pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 3, values.buffers())
    write(corpus, **({"answer": ["yes", "yes", "no"], "topic": ["a", "b", "c"]} | {column: broken}))
    done = run(slices=["topic"])
    expected = (1, 1, 0, 0, 0, 1) if column in ("answer", "truth") else (1, 2, 0, 0, 0, 0)
    if column == "truth":
        expected = (0, 2, 0, 0, 0, 1)
    assert outcomes(done) == expected
    assert sum(rate["rows"] for rate in done.report["rates"] if rate["slice"]) == 3


def test_names_that_are_no_utf8_fail_their_row(corpus: Path, run: Run) -> None:
    write(corpus, answer=["yes"] * 3, model=pa.array([b"a", b"\xff", None]))
    done = run(systems=[{"kind": "recorded", "name_from": "model"}])
    assert {r["system"]: (r["supported"], r["failed"]) for r in done.report["rates"]} == {"a": (1, 0), "(none)": (1, 1)}
    with pytest.raises(BadRow, match=r"'model' has 1 undecodable"):
        run("other", systems=[{"kind": "recorded", "name_from": "model"}], corpus={"on_bad_row": "stop"})


def test_rows_without_an_id_are_counted(corpus: Path, run: Run) -> None:
    write(corpus, id=["a", None, "b", None], answer=["yes"] * 4)
    done = run()
    assert done.report["corpus"]["without_id"] == 2
    assert any("2 rows have no id" in warning for warning in done.report["warnings"])
    assert outcomes(done) == (0, 4, 0, 0, 0, 0)


def test_no_rows_after_where(corpus: Path, run: Run) -> None:
    write(corpus, answer=["yes"] * 5)
    done = run(corpus={"where": "id = 'nobody'"})
    assert overall(done)["rows"] == 0
    assert overall(done)["rate"] is None
    assert done.report["corpus"]["left_out"]["where"] == 5
    assert any("no row" in warning.lower() for warning in done.report["warnings"])


def test_a_parquet_file_without_rows(corpus: Path, run: Run) -> None:
    write(corpus, answer=["yes"] * 5)
    write(corpus, "b.parquet", answer=pa.array([], pa.string()), **{"id": pa.array([], pa.string())})
    assert outcomes(run()) == (0, 5, 0, 0, 0, 0)


def test_where_null_is_its_own_fate(corpus: Path, run: Run) -> None:
    write(corpus, answer=["yes"] * 5, topic=["a", "b", None, "a", None])
    left_out = run(corpus={"where": "topic = 'a'"}).report["corpus"]["left_out"]
    assert (left_out["where"], left_out["where_null"]) == (1, 2)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"answer": [1.5, 2.5]}, r"corpus\.columns\.response.*'answer'.*double.*text"),
        ({"answer": ["yes"] * 2, "truth": [0.5, 0.7]}, r"corpus\.columns\.reference.*'truth'.*double"),
        ({"answer": ["yes"] * 2, "id": [[1], [2]]}, r"corpus\.columns\.id.*'id'.*list"),
    ],
)
def test_wrong_types_are_refused_before_anything_starts(
    corpus: Path, run: Run, columns: dict[str, Any], said: str
) -> None:
    write(corpus, **columns)
    with pytest.raises(SpecError, match=said):
        run()


@pytest.mark.parametrize(
    ("indicator", "said"),
    [
        ({"kind": "recorded_score", "column": "answer", "below": 0.5}, r"'answer' is string.*numeric.*a\.parquet"),
        ({"kind": "recorded_score", "column": "score", "below": 0.5, "valid": "answer"}, r"'answer' is string.*valid"),
        ({"kind": "recorded_label", "column": "tags"}, r"'tags' is list.*recorded_label"),
    ],
)
def test_columns_that_an_indicator_can_not_read_are_refused_before_anything_starts(
    corpus: Path, run: Run, indicator: dict[str, Any], said: str
) -> None:
    write(corpus, answer=["yes"] * 2, score=[0.1, 0.9], tags=[["a"], ["b"]])
    with pytest.raises(SpecError, match=rf"indicators\[0\].*{said}"):
        run(indicators=[indicator])


def test_a_column_that_one_file_lacks(corpus: Path, run: Run) -> None:
    write(corpus, answer=["yes"])
    pq.write_table(pa.table({"id": ["x"], "question": ["?"], "truth": ["yes"], "answr": ["yes"]}), corpus / "z.parquet")
    with pytest.raises(SpecError, match=r"no column 'answer' in .*z\.parquet.*did you mean 'answr'"):
        run()


def test_outcomes_do_not_depend_on_the_shard_size(corpus: Path, run: Run) -> None:
    for name in ("a.parquet", "b.parquet", "c.parquet"):
        write(
            corpus,
            name,
            answer=["yes", None, "I don't know", "no", "yes", "no", "yes"] * 3,
            truth=["yes", "no", None] * 7,
        )
    found = {json_of(run(f"out{rows}", engine={"shard_rows": rows, "actors": 1})) for rows in (1, 2, 5, 6, 7, 64)}
    assert len(found) == 1


def json_of(evaluation: Evaluation) -> str:
    report = {k: v for k, v in evaluation.report.items() if k != "run_id"}
    return repr(report)


def test_a_file_replaced_while_the_run_goes_on(corpus: Path, run: Run, tmp_path: Path) -> None:
    path = write(corpus, answer=["yes"] * 60)
    swapped = False

    def swap(progress: Any) -> None:
        nonlocal swapped
        if progress.shards_done and not swapped:
            swapped = True
            path.with_suffix(".new").write_bytes(write(tmp_path, "other.parquet", answer=["no"] * 60).read_bytes())
            path.with_suffix(".new").replace(path)

    fields = {
        "corpus": {"uri": str(corpus), "columns": {"id": "id", "reference": "truth", "response": "answer"}},
        "systems": [{"kind": "recorded", "name": "clerk"}],
        "indicators": [{"kind": "answer_mismatch"}],
        "output": str(tmp_path / "out"),
        "engine": {"shard_rows": 1, "actors": 1},
    }
    with pytest.raises(InputChanged, match=r"a\.parquet"):
        evaluate(RunSpec.model_validate(fields), on_progress=swap)
    assert outcomes(run()) == (60, 0, 0, 0, 0, 0)
