"""Images of a corpus: bytes, paths, URIs, structs and lists of these; what is missing or may not be followed."""

import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.config import RunSpec, Store
from halluc_ray.engine import images as images_of
from halluc_ray.engine.images import load_images
from halluc_ray.engine.roles import ColumnUse
from halluc_ray.engine.shard_run import ShardRunner
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.planning import done_shards, missing_tasks, prepare
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.reports.samples import samples
from halluc_ray.storage import commits, open_store, parquet
from halluc_ray.storage.files import CorpusFile
from halluc_ray.wiring.generators import load_generator
from halluc_ray.wiring.indicators import wire_indicators
from tests.tiny_models import save_classifier
from tests.unit.engine.whole import plan_of, report_of, write
from tests.unit.models.pictured import SIZES, TEXTS, clip, llava, picture

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def load(column: pa.Array, folder: Path, *, uri: str | None = None):
    rows = SimpleNamespace(roles={"image": column})
    return load_images(rows, CorpusFile(uri or str(folder / "c.parquet"), 1, "1"), roles={"image"}, store=Store())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "ä 1.png").write_bytes(b"one")
    (tmp_path / "two.png").write_bytes(b"two")
    return tmp_path


def test_every_form_of_a_cell(folder):
    one = "pictures/ä 1.png"
    binary = load(pa.array([b"x", None, b""]), folder)
    assert (binary.rows, binary.linked) == ([(b"x",), "null_image", (b"",)], False)
    paths = load(pa.array([one, "./pictures/../two.png", str(folder / "two.png"), f"file://{folder}/two.png"]), folder)
    assert (paths.rows, paths.linked) == ([(b"one",), (b"two",), (b"two",), (b"two",)], True)
    coded = load(pa.array([one, one]).dictionary_encode(), folder)
    assert coded.rows == [(b"one",)] * 2
    lists = load(pa.array([[one, "two.png"], [], None, [one, None], ["none.png", one]]), folder)
    assert lists.rows == [(b"one", b"two"), "null_image", "null_image", "null_image", "missing_image"]
    stored = [{"bytes": b"x", "path": "gone.png"}, {"bytes": None, "path": one}, None, {"bytes": None, "path": None}]
    assert load(pa.array(stored, STRUCT), folder).rows == [(b"x",), (b"one",), "null_image", "null_image"]
    frames = load(pa.array([stored[:2]], pa.list_(STRUCT)), folder)
    assert (frames.rows, frames.linked) == ([(b"x", b"one")], True)
    assert load(pa.array([[b"a", b"b"]], pa.list_(pa.binary(), 2)), folder).rows == [(b"a", b"b")]
    assert load(pa.nulls(2), folder).rows == ["null_image"] * 2


@pytest.mark.parametrize(
    ("link", "reason"),
    [
        ("http://example.com/a.png", "refused_image"),
        ("https://example.com/a.png", "refused_image"),
        ("HTTP://example.com/a.png", "refused_image"),
        ("ftp://example.com/a.png", "refused_image"),
        ("gs://bucket/a.png", "refused_image"),
        ("data:image/png;base64,AAAA", "refused_image"),
        ("file://elsewhere/a.png", "refused_image"),
        ("s3://B/a.png", "refused_image"),
        ("none.png", "missing_image"),
        ("", "missing_image"),
        (".", "missing_image"),
        ("two.png/below", "missing_image"),
        ("a\0b", "missing_image"),
        ("x" * 5000, "missing_image"),
        ("pipe", "missing_image"),
        ("/dev/zero", "missing_image"),
        ("loop", "missing_image"),
    ],
)
def test_links_that_lead_nowhere(folder, link, reason):
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    assert load(pa.array([link, "two.png"]), folder).rows == [reason, (b"two",)]


def test_what_a_bucket_holds_points_at_no_file_of_this_machine(folder):
    links = [str(folder / "two.png"), f"file://{folder}/two.png", "../../two.png"]
    assert load(pa.array(links), folder, uri="s3://evals/c/one.parquet").rows == ["refused_image"] * 3


def test_bytes_that_are_no_path_and_files_beyond_the_limit(folder, monkeypatch):
    broken = pa.array([b"\xff\xfe", b"two.png"]).view(pa.string())
    assert load(broken, folder).rows == ["undecodable_image", (b"two",)]
    monkeypatch.setattr(images_of, "MAX_IMAGE_BYTES", 2)
    assert load(pa.array(["two.png"]), folder).rows == ["oversized_image"]
    assert load(pa.array([b"two", b"ab"]), folder).rows == ["oversized_image", (b"ab",)]


def test_a_disk_that_fails_is_no_row_s_fault(folder, monkeypatch):
    def fails(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(OSError, match="Input/output"):
        load(pa.array(["two.png"]), folder)


@pytest.mark.parametrize("kind", [pa.int64(), pa.list_(pa.list_(pa.string())), pa.struct([("url", pa.string())])])
def test_a_column_that_can_hold_no_image_is_refused_by_the_plan(kind):
    schema = pa.schema([pa.field("image", kind)])
    with pytest.raises(SpecError, match="must hold image bytes, paths or URIs"):
        ColumnUse("corpus.columns.image", "image", "images").check(schema, "c.parquet")


def corpus_of(folder: Path, form: str) -> Path:
    """The same twelve rows; images as bytes, as paths, as structs, or as lists of two paths."""
    images = [picture(k, SIZES[k % len(SIZES)]) for k in range(12)]
    (folder / "p").mkdir(parents=True)
    for k, image in enumerate(images):
        (folder / "p" / f"{k}.png").write_bytes(image)
    paths = [f"p/{k}.png" for k in range(12)]
    forms = {
        "bytes": pa.array(images),
        "paths": pa.array(paths),
        "structs": pa.array([{"bytes": image, "path": None} for image in images], STRUCT),
        "lists": pa.array([[path] for path in paths]),
    }
    columns = {
        "id": [f"i{k}" for k in range(12)],
        "caption": [TEXTS[k % 5] for k in range(12)],
        "truth": ["yes"] * 12,
        "picture": forms[form],
    }
    return write(folder / "c.parquet", pa.table(columns), group_rows=5)


@pytest.fixture(scope="session")
def matcher(tmp_path_factory) -> Path:
    return clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def writer(tmp_path_factory) -> Path:
    return llava(tmp_path_factory.mktemp("llava"))


COLUMNS = {"id": "id", "prompt": "caption", "response": "caption", "reference": "truth", "image": "picture"}


def run_over(corpus: Path, output: Path, systems: list[dict], *, where: str | None = None, **changes):
    columns = changes.pop("columns", COLUMNS)
    spec = {
        "corpus": {"uri": str(corpus), "columns": columns, "where": where},
        "systems": systems,
        "indicators": [{"kind": "low_similarity", "at": 0.0}, {"kind": "answer_mismatch"}],
        "summaries": [{"name": "similarity", "score": "low_similarity"}],
        "output": str(output),
        "engine": {"shard_rows": 5},
        "max_failed": 1,
    } | changes
    plan = plan_of(spec)
    run = RunFolder(open_store(plan.context.spec.output), plan.run_id)
    run.begin(plan)
    indicators = [wired.indicator for wired in wire_indicators(plan.context.spec.indicators)]
    runner = ShardRunner(
        plan.context,
        store=run.store,
        indicators=indicators,
        generator_for=lambda system: load_generator(system.resolved, plan.context.spec.store, bitwise=True),
    )
    for task in missing_tasks(plan, done_shards(run.store, plan)):
        runner.run(task)
    return plan, run


def made(plan, run, system: int = 0) -> tuple[list[bytes], list[dict]]:
    """The parts of a system's outputs as bytes, and the notes of their commits."""
    stage = plan.context.systems[system].generate.name
    standing = [commits.read_commit(run.store, stage, shard.key) for shard in plan.shards(plan.context.systems[system])]
    return [commits.read_part(run.store, stage, commit) for commit in standing], [dict(c.notes) for c in standing]


def test_bytes_paths_structs_and_lists_give_the_same_outputs(tmp_path, matcher, writer):
    systems = [
        {"kind": "dual-encoder", "name": "clip", "checkpoint": str(matcher)},
        {"kind": "image-text-to-text", "name": "llava", "checkpoint": str(writer), "decoding": {"max_new_tokens": 4}},
    ]
    parts, notes = {}, {}
    for form in ("bytes", "paths", "structs", "lists"):
        plan, run = run_over(corpus_of(tmp_path / form, form), tmp_path / form / "out", systems)
        for system in (0, 1):
            parts[form, system], notes[form, system] = made(plan, run, system)
        report = report_of(run)
        rates = {(rate["system"], rate["indicator"]): rate for rate in report["rates"]}
        clip_counts = rates["clip", "low_similarity"]
        assert clip_counts["hallucinated"] + clip_counts["supported"] == 12
        assert clip_counts["hallucinated"] not in (0, 12)
        assert rates["clip", "answer_mismatch"]["not_applicable"] == 12
        assert rates["llava", "low_similarity"]["not_applicable"] == 12
    for system in (0, 1):
        assert len({tuple(parts[form, system]) for form in ("bytes", "paths", "structs", "lists")}) == 1
        assert notes["bytes", system] == notes["structs", system] == [{}] * 3
        assert all(set(note) == {images_of.NOTE} for note in notes["paths", system])
    assert parquet.decode(parts["bytes", 0][0])["similarity"].null_count == 0


def test_samples_of_a_matcher_show_the_text_of_the_corpus(tmp_path, matcher, writer):
    systems = [
        {"kind": "dual-encoder", "name": "clip", "checkpoint": str(matcher)},
        {"kind": "image-text-to-text", "name": "llava", "checkpoint": str(writer), "decoding": {"max_new_tokens": 2}},
    ]
    plan, run = run_over(corpus_of(tmp_path, "bytes"), tmp_path / "out", systems)
    report_of(run)
    sources = {planned.digest: planned.file for planned in plan.files}
    shown = samples(run.store, plan.record, sources=sources, limit=100).to_pylist()
    captions = {f"i{k}": TEXTS[k % 5] for k in range(12)}
    of_clip = {row["id"]: row["response"] for row in shown if row["system"] == "clip"}
    assert of_clip == captions
    assert all(row["response"] != captions[row["id"]] for row in shown if row["system"] == "llava")


def test_real_questions_about_pictures(corpora, tmp_path, writer):
    """POPE's own rows and file names; the photographs are not at hand, so noise stands in for all but one."""
    rows = pq.read_table(corpora / "pope_questions" / "part-000.parquet").slice(0, 24)
    names = sorted(set(rows["image"].to_pylist()))
    for k, name in enumerate(names[1:]):
        (tmp_path / name).write_bytes(picture(k, (64, 48), form="JPEG"))
    columns = {"id": "id", "prompt": "question", "reference": "reference", "image": "image"}
    system = {
        "kind": "image-text-to-text", "name": "llava", "checkpoint": str(writer), "chat": True,
        "template": "{prompt} Answer yes or no.", "decoding": {"max_new_tokens": 2},
    }  # fmt: skip
    corpus = write(tmp_path / "pope.parquet", rows, group_rows=24)
    plan, run = run_over(corpus, tmp_path / "out", [system], columns=columns, engine={"shard_rows": 24})
    [part], _ = made(plan, run)
    missing = [name == names[0] for name in rows["image"].to_pylist()]
    assert 0 < sum(missing) < 24
    assert parquet.decode(part)["failure"].to_pylist() == ["missing_image" if gone else None for gone in missing]
    [rate] = [rate for rate in report_of(run)["rates"] if rate["indicator"] == "answer_mismatch"]
    assert (rate["rows"], rate["failed"]) == (24, sum(missing))


def test_images_concern_only_who_looks_at_them(tmp_path, matcher):
    """A condition brings the column along; a system that reads words alone neither loads nor misses an image."""
    corpus = corpus_of(tmp_path, "paths")
    (tmp_path / "p" / "3.png").unlink()
    words = save_classifier(tmp_path / "words", texts=TEXTS)
    systems = [
        {"kind": "embedder", "name": "words", "checkpoint": str(words), "template": "{prompt}"},
        {"kind": "dual-encoder", "name": "clip", "checkpoint": str(matcher)},
    ]
    plan, run = run_over(corpus, tmp_path / "out", systems, where="picture IS NOT NULL")
    tables = [[parquet.decode(part) for part in made(plan, run, system)[0]] for system in (0, 1)]
    failed = [[reason for table in of for reason in table["failure"].drop_null().to_pylist()] for of in tables]
    assert failed == [[], ["missing_image"]]
    assert made(plan, run, 0)[1] == [{}] * 3


def test_a_linked_image_that_changes_is_seen_in_the_commit(tmp_path, matcher):
    systems = [{"kind": "dual-encoder", "name": "clip", "checkpoint": str(matcher)}]
    corpus = corpus_of(tmp_path, "paths")
    _, before = made(*run_over(corpus, tmp_path / "one", systems))
    (tmp_path / "p" / "7.png").write_bytes(picture(99, (20, 20)))
    _, after = made(*run_over(corpus, tmp_path / "two", systems))
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_rows_without_a_usable_image_fail_alone(tmp_path, matcher, writer):
    """Good rows of a shard keep their bytes among bad ones: the bad never reach a batch."""
    images = [picture(k, SIZES[k % len(SIZES)]) for k in range(6)]
    bad = [b"GIF89a", b"", images[0][:60], None, b"%!PS-Adobe-3.0 EPSF-3.0\n"]
    ids = [f"i{k}" for k in range(11)]
    rows = {"id": ids, "caption": ["What?"] * 11, "truth": ["x"] * 11, "picture": pa.array([*images, *bad])}
    systems = [
        {"kind": "dual-encoder", "name": "clip", "checkpoint": str(matcher)},
        {"kind": "image-text-to-text", "name": "llava", "checkpoint": str(writer), "decoding": {"max_new_tokens": 3}},
    ]
    whole = {"engine": {"shard_rows": 11}}
    plan, run = run_over(write(tmp_path / "a.parquet", rows), tmp_path / "out", systems, **whole)
    good = {name: values[:6] for name, values in rows.items()}
    alone = run_over(write(tmp_path / "b.parquet", good), tmp_path / "out", systems, **whole)
    reasons = ["undecodable_image"] * 3 + ["null_image", "undecodable_image"]
    for system, column in ((0, "similarity"), (1, "text")):
        table = parquet.decode(made(plan, run, system)[0][0])
        assert table["failure"].to_pylist() == [None] * 6 + reasons
        assert table[column].to_pylist()[:6] == parquet.decode(made(*alone, system)[0][0])[column].to_pylist()
    report = report_of(run)
    failed = {rate["system"]: rate["failed"] for rate in report["rates"]}
    assert failed == {"clip": 5, "llava": 5}


@pytest.mark.parametrize(("form", "said"), [("bytes", False), ("paths", True), ("lists", True)])
def test_the_plan_says_that_linked_images_are_in_no_digest(tmp_path, matcher, form, said):
    spec = {
        "corpus": {"uri": str(corpus_of(tmp_path, form)), "columns": COLUMNS},
        "systems": [{"kind": "dual-encoder", "name": "clip", "checkpoint": str(matcher)}],
        "indicators": [{"kind": "low_similarity", "at": 0.1}],
        "output": str(tmp_path / "out"),
        "engine": {"device": "cpu"},
    }
    notes = prepare(RunSpec.model_validate(spec)).notes
    assert any("images behind paths" in note for note in notes) == said


def test_a_matcher_needs_a_column_of_images_and_the_indicator_a_threshold(tmp_path, matcher):
    corpus = corpus_of(tmp_path, "bytes")
    system = {"kind": "dual-encoder", "name": "clip", "checkpoint": str(matcher)}
    columns = {role: column for role, column in COLUMNS.items() if role != "image"}
    spec = {"corpus": {"uri": str(corpus), "columns": columns}, "systems": [system], "output": str(tmp_path / "out")}
    with pytest.raises(SpecError, match="image"):
        plan_of({**spec, "indicators": [{"kind": "low_similarity", "at": 0.1}]})
    with pytest.raises(SpecError, match="at: "):
        plan_of({**spec, "indicators": [{"kind": "low_similarity"}]})
