"""Corpus files on a disk and in a bucket: the same names, digests, rows and complaints."""

import hashlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halluc_ray.errors import InputChanged, InputError, StoreError
from halluc_ray.storage import (
    CorpusFile,
    ObjectStore,
    digests,
    file_digest,
    list_files,
    open_parquet,
    open_store,
    verify_unchanged,
)
from halluc_ray.storage.parquet import encode
from infra.object_store.server import ObjectServer

ROWS = pa.table(
    {"id": [f"r{number}" for number in range(5_000)], "text": [f"{number:0100d}" for number in range(5_000)]}
)
PARQUET = encode(ROWS)


@dataclass
class Place:
    """A root to put corpus files under, and how to list them."""

    store: ObjectStore
    endpoint: str | None

    @property
    def uri(self) -> str:
        return self.store.uri

    def files(self, below: str = "") -> tuple[CorpusFile, ...]:
        return list_files(self.uri + below, endpoint=self.endpoint)

    def names(self, below: str = "") -> list[str]:
        return [file.uri.removeprefix(self.uri + "/") for file in self.files(below)]


@pytest.fixture
def place(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Place:
    monkeypatch.setenv("HALLUC_RAY_CACHE", str(tmp_path / "cache"))
    return Place(store, getattr(store, "endpoint", None))


def fill(place: Place, *names: str, data: bytes = PARQUET) -> None:
    for name in names:
        place.store.put(name, data)


def test_files_by_name_folder_and_pattern(place: Place) -> None:
    fill(place, "n/b.parquet", "n/a.parquet", "n/sub/c.parquet", "n/sub/deep/d.parquet", "n2/e.parquet")
    fill(place, "n/CARD.md", "n/published.csv", "n/.hidden.parquet", "n/sub/notes.txt", data=b"text")
    assert place.names("/n") == ["n/a.parquet", "n/b.parquet"]
    assert place.names("/n/") == ["n/a.parquet", "n/b.parquet"]
    assert place.names("/n/b.parquet") == ["n/b.parquet"]
    assert place.names("/n/*.parquet")[-2:] == ["n/a.parquet", "n/b.parquet"]
    assert place.names("/n/[ab].parquet") == ["n/a.parquet", "n/b.parquet"]
    assert place.names("/*/?.parquet") == ["n/a.parquet", "n/b.parquet", "n2/e.parquet"]
    assert place.names("/n/sub/**/*.parquet") == ["n/sub/c.parquet", "n/sub/deep/d.parquet"]
    assert [file.size for file in place.files("/n")] == [len(PARQUET)] * 2


@pytest.mark.parametrize(
    ("below", "says"),
    [
        ("/tables", r"holds no \*.parquet.*2 .csv, 1 .md"),
        ("/parents", r"below it are 2|subfolders hold 2"),
        ("/tables/*.parquet", r"the pattern .*tables/\*.parquet matches no"),
        ("/tabels", "tabels"),
    ],
)
def test_nothing_found_says_what_is_there(place: Place, below: str, says: str) -> None:
    fill(place, "tables/a.csv", "tables/b.csv", "tables/CARD.md", data=b"text")
    fill(place, "parents/x/a.parquet", "parents/y/b.parquet")
    with pytest.raises(InputError, match=says):
        place.files(below)


def test_near_miss_of_a_local_name(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.parquet").write_bytes(PARQUET)
    with pytest.raises(InputError, match=r"did you mean .*/leaderboard.parquet\?"):
        list_files(str(tmp_path / "leaderbord.parquet"))


def test_a_name_with_pattern_characters_is_a_name_first(place: Place) -> None:
    fill(place, "x/part[1].parquet", "x/part1.parquet")
    assert place.names("/x/part[1].parquet") == ["x/part[1].parquet"]


def test_rows_come_back_whole(place: Place) -> None:
    fill(place, "n/a.parquet")
    (file,) = place.files("/n")
    with open_parquet(file) as opened:
        assert opened.metadata.num_rows == 5_000
        assert opened.read().equals(ROWS)
        assert opened.read_row_group(0, columns=["id"]).column("id").equals(ROWS.column("id"))
    verify_unchanged(file)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"id,text\n1,x\n", "is no Parquet file: it starts with b'id,t'.*; `halluc-ray import` makes"),
        (b"PAR1", "is cut: 4 bytes"),
        (PARQUET[:-100], "is cut: .*no Parquet footer"),
        (PARQUET[:50] + PARQUET[-8:], "is cut"),
        (PARQUET[:-400] + bytes(392) + PARQUET[-8:], "footer is damaged"),
        (b"PARE" + bytes(100) + b"PARE", "is encrypted"),
    ],
)
def test_bad_files_are_told_apart_and_named(place: Place, data: bytes, says: str) -> None:
    fill(place, "bad.parquet", data=data)
    (file,) = place.files("/bad.parquet")
    with pytest.raises(InputError, match=f"bad.parquet.*{says}") as caught:
        open_parquet(file)
    assert not isinstance(caught.value, InputChanged)


@pytest.mark.parametrize("action", [open_parquet, verify_unchanged])
def test_a_file_replaced_or_removed_after_planning(place: Place, action: Callable[[CorpusFile], object]) -> None:
    fill(place, "n/a.parquet")
    (file,) = place.files("/n")
    fill(place, "n/a.parquet", data=encode(ROWS.slice(1)))
    with pytest.raises(InputChanged, match=r"n/a.parquet changed after the run was planned"):
        action(file)
    place.store.delete("n/a.parquet")
    with pytest.raises(InputChanged, match="removed"):
        action(file)


def test_a_file_replaced_while_it_is_read(place: Place) -> None:
    table = pa.table({"x": [secrets.token_bytes(1_000) for _ in range(400)]})
    fill(place, "a.parquet", data=encode(table))
    (file,) = place.files("/a.parquet")

    def read() -> None:
        with open_parquet(file) as opened:
            fill(place, "a.parquet", data=encode(table.take(list(reversed(range(400))))))
            opened.read()
        verify_unchanged(file)

    with pytest.raises(InputChanged, match=r"a.parquet changed"):
        read()


def test_same_bytes_have_one_digest_wherever_they_lie(s3_server: ObjectServer, tmp_path: Path) -> None:
    local = open_store(str(tmp_path))
    remote = open_store(f"s3://{s3_server.bucket}/digests", endpoint=s3_server.endpoint)
    for store in (local, remote):
        store.put("a.parquet", PARQUET)
    here = list_files(str(tmp_path))
    there = list_files(remote.uri, endpoint=s3_server.endpoint)
    assert digests(here) == digests(there)
    assert len(file_digest(here[0])) == 64


def test_an_object_stored_without_sha256_is_known_by_its_etag(s3_server: ObjectServer) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=s3_server.endpoint)
    client.put_object(Bucket=s3_server.bucket, Key="plain/a.parquet", Body=PARQUET, ChecksumAlgorithm="CRC32")
    (file,) = list_files(f"s3://{s3_server.bucket}/plain", endpoint=s3_server.endpoint)
    assert file_digest(file) == f"etag:{file.version}"


def test_local_digests_are_cached_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALLUC_RAY_CACHE", str(tmp_path / "cache"))
    place = Place(open_store(str(tmp_path / "corpus")), None)
    fill(place, "a.parquet")
    path = Path(place.uri, "a.parquet")
    os.utime(path, ns=(10**18, 10**18))
    (file,) = place.files()
    found = file_digest(file)
    path.write_bytes(PARQUET[::-1])
    os.utime(path, ns=(10**18, 10**18))
    assert file_digest(file) == found  # same path, size and mtime: not read again
    os.utime(path, ns=(10**18, 10**18 + 1))
    with pytest.raises(InputChanged):
        file_digest(CorpusFile(file.uri, file.size + 1, file.version))
    assert digests(place.files()) != [found]


def test_a_cache_that_can_not_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALLUC_RAY_CACHE", "/dev/null/cache")
    (tmp_path / "a.parquet").write_bytes(PARQUET)
    os.utime(tmp_path / "a.parquet", ns=(10**18, 10**18))
    (file,) = list_files(str(tmp_path))
    assert file_digest(file) == hashlib.sha256(PARQUET).hexdigest()


_DIGEST = """
import sys
from halluc_ray.storage import digests, list_files
sys.stdout.write(" ".join(digests(list_files(sys.argv[1]))))
"""


def test_processes_share_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALLUC_RAY_CACHE", str(tmp_path / "cache"))
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number in range(40):
        (corpus / f"{number:02d}.parquet").write_bytes(PARQUET + bytes([number]))
        os.utime(corpus / f"{number:02d}.parquet", ns=(10**18, 10**18))
    command = [sys.executable, "-c", _DIGEST, str(corpus)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = {child.communicate(timeout=60)[0] for child in children}
    assert said == {" ".join(hashlib.sha256(PARQUET + bytes([number])).hexdigest() for number in range(40))}
    assert len([path for path in (tmp_path / "cache").rglob("*") if path.is_file()]) == 40


def test_bucket_that_is_not_there(s3_server: ObjectServer) -> None:
    with pytest.raises(StoreError, match="no such bucket"):
        list_files("s3://not-there/x", endpoint=s3_server.endpoint)


def test_shared_corpora_are_listed(corpora: Path) -> None:
    files = list_files(str(corpora / "vectara_leaderboard"))
    assert [Path(file.uri).name for file in files] == ["part-000.parquet", "part-001.parquet"]
    rows = 0
    for file in files:
        with open_parquet(file) as opened:
            rows += opened.metadata.num_rows
    assert rows == 123_696
    with pytest.raises(InputError, match=r"2 .csv, 1 .json"):
        list_files(str(corpora / "dirty"))


def test_pyarrow_reads_what_we_encode(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(PARQUET)
    assert pq.read_table(path).equals(ROWS)
