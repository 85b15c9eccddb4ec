from pathlib import Path

import pytest

from halluc_ray.errors import SpecError
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("s3://evals", S3Place("evals", "")),
        ("s3://evals/", S3Place("evals", "")),
        ("s3://evals/a/b/", S3Place("evals", "a/b")),
        ("S3://my.bucket-1/a b", S3Place("my.bucket-1", "a b")),
        ("/data/out", LocalPlace(Path("/data/out"))),
        ("/data/../out/", LocalPlace(Path("/out"))),
        ("file:///data/my%20out", LocalPlace(Path("/data/my out"))),
        ("file://localhost/data", LocalPlace(Path("/data"))),
        ("/data/a:b", LocalPlace(Path("/data/a:b"))),
    ],
)
def test_places(uri: str, place: LocalPlace | S3Place) -> None:
    assert parse_uri(uri) == place


def test_local_paths_are_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert parse_uri("./out") == LocalPlace(tmp_path / "out")
    assert parse_uri("~/out") == LocalPlace(Path("/home/somebody/out"))


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s4://evals/x", "did you mean s3://"),
        ("s3a://evals/x", "did you mean s3://"),
        ("flie:///x", "did you mean file://"),
        ("https://host/x", "no store for scheme 'https'"),
        ("s3://", "no bucket name"),
        ("s3:///key", "no bucket name"),
        ("s3://Evals/x", "'Evals' is no bucket name"),
        ("file://host/x", "names the host 'host'"),
        ("  ", "names no place"),
        ("a\0b", "names no place"),
        ("a" * 300, "at most 255"),
        ("a/" * 3000, "at most 4095 bytes"),
        ("~nobody-of-that-name/x", "home folder"),
    ],
)
def test_what_is_no_place(uri: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        parse_uri(uri)
