"""Digests of files already read: when they are kept, and that they never lie."""

import time

import pytest

from halluc_ray.config.digest_cache import KnownFile, cached_digest

FIRST, SECOND = "1" * 64, "2" * 64
LONG_AGO = 10**18


def digest(file, found, cache):
    return cached_digest(file, lambda: found, cache=cache)


@pytest.mark.parametrize("written_ns", [LONG_AGO, None])
def test_a_file_is_read_once_in_each_state(tmp_path, written_ns):
    file = KnownFile("/a", 3, "v1", written_ns)
    assert digest(file, FIRST, tmp_path) == FIRST
    assert digest(file, SECOND, tmp_path) == FIRST
    others = [KnownFile("/b", 3, "v1"), KnownFile("/a", 4, "v1"), KnownFile("/a", 3, "v2")]
    assert [digest(other, SECOND, tmp_path) for other in others] == [SECOND] * 3


def test_a_file_that_was_just_written_is_read_again(tmp_path):
    file = KnownFile("/a", 3, "v1", time.time_ns())
    assert digest(file, FIRST, tmp_path) == FIRST
    assert digest(file, SECOND, tmp_path) == SECOND


def test_a_file_that_settles_while_it_is_read_is_read_again(tmp_path):
    file = KnownFile("/a", 3, "v1", time.time_ns())

    def slowly():
        time.sleep(0.15)
        return FIRST

    assert cached_digest(file, slowly, cache=tmp_path) == FIRST
    assert digest(file, SECOND, tmp_path) == SECOND


def test_a_damaged_entry_is_read_over(tmp_path):
    file = KnownFile("/a", 3, "v1")
    digest(file, FIRST, tmp_path)
    (entry,) = (path for path in tmp_path.rglob("*") if path.is_file())
    for damage in (b"", b"1" * 63, b"\xff" * 64):
        entry.write_bytes(damage)
        assert digest(file, SECOND, tmp_path) == SECOND


def test_what_could_not_be_read_is_not_kept(tmp_path):
    def fails():
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        cached_digest(KnownFile("/a", 3, "v1"), fails, cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
