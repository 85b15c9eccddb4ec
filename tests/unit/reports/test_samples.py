import pyarrow as pa
import pytest

from halluc_ray.errors import SpecError
from halluc_ray.reports.sample_rows import as_text
from halluc_ray.reports.samples import samples
from halluc_ray.reports.shown import shown_rows
from halluc_ray.reports.worked import worked_samples
from halluc_ray.storage import open_store
from halluc_ray.storage.files import list_files
from tests.unit.reports.handmade import Handmade, Row, Verdict


@pytest.fixture
def run(tmp_path):
    rows = [
        Row("a", (Verdict("supported", "exact"),), response="Paris", reference="Paris", prompt="Capital of France?"),
        Row("b", (Verdict("hallucinated", "other", (0, 4), "Oslo"),), response="Bern it is", model="n", lang="中文"),
        Row("c", (Verdict("abstained", "refusal"),), response="I do not know"),
        Row("d", (Verdict("failed"),), response=None, failure="null_response"),
        Row("e", (Verdict("hallucinated", "other", (0, 2), "罗马"),), response="巴黎。"),
    ]
    return Handmade(open_store(str(tmp_path / "out")), tmp_path, rows, shard_rows=2)


def find(run, where, limit=20):
    record = run.publish()
    return samples(run.store, record, sources=corpus_of(run), where=where, limit=limit)


def corpus_of(run):
    return {"f" * 64: list_files(str(run.folder / "corpus.parquet"))[0]}


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (None, "abcde"),
        ("judged = 'hallucinated'", "be"),
        ("judged_reason = 'refusal'", "c"),
        ("judged_against = '罗马'", "e"),
        ("response LIKE 'P%' AND reference = response", "a"),
        ("system = 'n'", "b"),
        ("lang = '中文'", "b"),
        ("failure IS NOT NULL", "d"),
        ("length(response) > 100", ""),
        ("prompt ILIKE '%france%' OR id = 'e'", "ae"),
    ],
)
def test_condition_over_verdicts_evidence_and_texts(run, where, ids):
    assert "".join(find(run, where)["id"].to_pylist()) == ids


def test_a_sample_holds_its_own_evidence_and_texts(run):
    [row] = find(run, "id = 'b'").to_pylist()
    assert (row["response"], row["judged_span"], row["judged_against"]) == ("Bern it is", "Bern", "Oslo")
    assert row["system"] == "n"
    assert row["prompt"] == "Who?"


def test_limit_stops(run):
    assert find(run, None, limit=3)["id"].to_pylist() == ["a", "b", "c"]


def test_the_answer_of_a_model_is_what_it_generated(run):
    run.kind, run.names_from_column = "causal-lm", False
    record = run.publish()
    table = samples(run.store, record, sources={}, where="response = 'Paris'")
    assert table["id"].to_pylist() == ["a"]


def test_nothing_found_is_an_empty_table_with_its_columns(run):
    table = find(run, "id = 'nobody'")
    assert len(table) == 0
    assert {"system", "judged", "judged_span", "response"} <= set(table.column_names)


@pytest.mark.parametrize("where", ["judgd = 'x'", "judged = ", "1) UNION SELECT 1 --", "id = 'a'; DROP TABLE x"])
def test_a_bad_condition_names_the_columns_there_are(run, where):
    with pytest.raises(SpecError, match=r"judged_reason.*prompt"):
        find(run, where)


@pytest.mark.parametrize(
    "where",
    [
        "id IN (SELECT content FROM read_text('/etc/hostname'))",
        "id IN (SELECT content FROM '/etc/passwd')",
        "id = (SELECT count(*) FROM read_csv('/etc/passwd'))::varchar",
        "id = getenv('HOME')",
    ],
)
def test_a_condition_reads_no_files(run, where):
    with pytest.raises(SpecError):
        find(run, where)


def test_without_the_corpus_texts_are_null_and_evidence_stays(run):
    table = samples(run.store, run.publish(), sources={}, where="judged = 'hallucinated'")
    assert table["response"].to_pylist() == [None, None]
    assert table["judged_span"].to_pylist() == ["Bern", "巴黎"]


def test_worked_samples_show_each_outcome_with_its_evidence_marked(run):
    record = run.publish()
    found = worked_samples(record, shown_rows(run.store, record, sources=corpus_of(run)))
    assert {(sample.id, sample.outcome) for sample in found} == {
        ("b", "hallucinated"),
        ("e", "hallucinated"),
        ("a", "supported"),
        ("c", "abstained"),
        ("d", "failed"),
    }
    assert found[0].outcome == "hallucinated"
    marked = next(sample for sample in found if sample.id == "e")
    assert (marked.before, marked.marked, marked.after) == ("", "巴黎", "。")


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        (pa.array([b"ab", b"\xff\xff", None], pa.binary(2)), ["ab", "\ufffd\ufffd", None]),
        (pa.array([b"ab", b"\xff"], pa.large_binary()), ["ab", "\ufffd"]),
        (pa.array([[b"Rome", None, b"Roma"], None]), ["Rome | Roma", None]),
        (pa.array([["a", "b"]], pa.list_(pa.string(), 2)), ["a | b"]),
        (pa.array(["x", None]).dictionary_encode(), ["x", None]),
        (pa.array([None]), [None]),
    ],
)
def test_any_column_is_shown_as_text(column, shown):
    assert as_text(pa.chunked_array([column])).to_pylist() == shown


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_bytes_that_are_no_text_are_marked_whatever_the_column_says(kind):
    stored = pa.array([b"yes", b"\xff!", None], pa.large_binary() if kind == pa.large_string() else pa.binary())
    column = pa.Array.from_buffers(kind, len(stored), stored.buffers())
    assert as_text(pa.chunked_array([column])).to_pylist() == ["yes", "\ufffd!", None]


def test_evidence_as_long_as_a_book_is_shortened_on_the_page(tmp_path):
    response = "no " * 500_000
    rows = [Row("a", (Verdict("hallucinated", "other", (0, len(response)), "yes"),), response=response)]
    run = Handmade(open_store(str(tmp_path / "out")), tmp_path, rows, shard_rows=2)
    record = run.publish()
    found = worked_samples(record, shown_rows(run.store, record, sources=corpus_of(run)))
    assert found[0].marked.startswith("no no")
    assert len(found[0].marked) < 2_000
