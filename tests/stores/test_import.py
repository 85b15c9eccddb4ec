"""Imports from and into a bucket: the same corpus as from a folder, and nothing half that reads as whole."""

import hashlib
import json
import secrets
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.corpora.importing import publishing
from halluc_ray.errors import InputError
from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.storage.corpus_parquet import open_parquet
from halluc_ray.storage.files import list_files
from infra.object_store.server import ObjectServer
from tests.unit.corpora.importing.whole import imported, rows, write_lines

MAP = "id=id,prompt=q"


@pytest.fixture
def bucket(s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A fresh prefix of the bucket; the address comes from the environment, as a user sets it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    return open_store(f"s3://{s3_server.bucket}/import/{secrets.token_hex(6)}")


def corpus_rows(uri: str) -> list[dict[str, object]]:
    found = []
    for file in list_files(uri):
        with open_parquet(file) as parquet:
            found += parquet.read().to_pylist()
    return found


def test_a_bucket_on_either_side_gives_what_a_folder_gives(bucket: ObjectStore, tmp_path: Path) -> None:
    """The source is larger than one request of the reader."""
    text = "".join(hashlib.sha256(str(k).encode()).hexdigest() for k in range(40))
    lines = [{"id": n, "q": f"é{n} {text}"} for n in range(4_000)]
    write_lines(tmp_path / "a.jsonl", *lines, b"{broken")
    assert (tmp_path / "a.jsonl").stat().st_size > 9 << 20
    bucket.put("in/a.jsonl", (tmp_path / "a.jsonl").read_bytes())
    bucket.put("in/CARD.md", b"no data")
    imported(tmp_path / "a.jsonl", tmp_path / "out", MAP)
    result = imported(f"{bucket.uri}/in", f"{bucket.uri}/out", MAP)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert [info.key for info in bucket.list("out/")] == sorted(f"out/{name}" for name in names)
    assert (result.uri, result.rejected) == (f"{bucket.uri}/out", {"not JSON": 1})
    for name in names:
        if name != publishing.MANIFEST:
            assert bucket.read(f"out/{name}") == (tmp_path / "out" / name).read_bytes()
    assert corpus_rows(f"{bucket.uri}/out") == rows(tmp_path / "out")
    digest = hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest()
    source = json.loads(bucket.read(f"out/{publishing.MANIFEST}"))["source"]["files"]
    assert [(file["name"], file["digest"]) for file in source] == [("a.jsonl", f"sha256:{digest}")]


def test_globs_and_parquet_in_a_bucket(bucket: ObjectStore, tmp_path: Path) -> None:
    for part in range(3):
        pq.write_table(pa.table({"id": [part], "q": [f"q{part}"]}), tmp_path / "p.parquet")
        bucket.put(f"in/{part % 2}/p{part}.parquet", (tmp_path / "p.parquet").read_bytes())
    imported(f"{bucket.uri}/in/**/*.parquet", tmp_path / "out", "prompt=q", id_from_row=True)
    assert [row["id"] for row in rows(tmp_path / "out")] == ["0/p0.parquet:0", "0/p2.parquet:0", "1/p1.parquet:0"]
    with pytest.raises(InputError, match="no object there"):
        imported(f"{bucket.uri}/nothing", tmp_path / "x", MAP)


class Killed(BaseException):
    """Stands for a kill between two requests."""


def test_an_import_that_dies_while_it_publishes_does_not_read_as_whole(
    bucket: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "a.jsonl", {"id": 1, "q": "a"})
    put = type(bucket).put

    def dying(self: ObjectStore, key: str, data: bytes) -> object:
        if key == publishing.MANIFEST:
            raise Killed
        return put(self, key, data)

    with monkeypatch.context() as patch:
        patch.setattr(type(bucket), "put", dying)
        with pytest.raises(Killed):
            imported(source, f"{bucket.uri}/out", MAP)
    with pytest.raises(InputError, match=r"import-is-unfinished\.parquet is empty"):
        corpus_rows(f"{bucket.uri}/out")
    bucket.put("out/below/mine.parquet", b"of somebody else")
    with pytest.raises(InputError, match=r"below/mine\.parquet beside an import"):
        imported(source, f"{bucket.uri}/out", MAP)
    bucket.delete("out/below/mine.parquet")
    imported(source, f"{bucket.uri}/out", MAP)
    assert corpus_rows(f"{bucket.uri}/out") == [{"id": "1", "prompt": "a"}]


@pytest.mark.parametrize(("key", "told"), [("import-is-unfinished.parquet", "another import"), ("new.txt", "changed")])
def test_what_came_while_the_source_was_read_is_not_written_over(
    bucket: ObjectStore, tmp_path: Path, key: str, told: str
) -> None:
    with publishing.target(f"{bucket.uri}/out", overwrite=False) as place:
        (place.staging / "part-00000.parquet").write_bytes(b"x")
        bucket.put(f"out/{key}", b"")
        with pytest.raises(InputError, match=told):
            place.publish(["part-00000.parquet"])
    assert [info.key for info in bucket.list("out/")] == [f"out/{key}"]


def test_a_bucket_is_overwritten_only_if_said(bucket: ObjectStore, tmp_path: Path) -> None:
    source, out = write_lines(tmp_path / "a.jsonl", {"id": 1, "q": "a"}, b"{"), f"{bucket.uri}/out"
    imported(source, out, MAP)
    with pytest.raises(InputError, match="--overwrite"):
        imported(source, out, MAP)
    write_lines(source, {"id": 2, "q": "b"})
    imported(source, out, MAP, overwrite=True)
    assert corpus_rows(out) == [{"id": "2", "prompt": "b"}]
    assert [info.key for info in bucket.list("out/")] == ["out/_manifest.json", "out/part-00000.parquet"]
    bucket.put("out/mine.txt", b"")
    with pytest.raises(InputError, match=r"mine\.txt beside an import"):
        imported(source, out, MAP, overwrite=True)
