"""SPEC and RUN as a user may write them."""

from __future__ import annotations

import pytest

from halluc_ray.config import RunSpec
from halluc_ray.errors import SpecError
from halluc_ray.evaluation.reading import read_spec, read_target

SPEC = "corpus: {uri: c}\nsystems: [{kind: recorded, name: human}]\nindicators: [{kind: recorded_label, column: x}]\n"


@pytest.fixture
def spec_path(tmp_path):
    path = tmp_path / "night.yaml"
    path.write_text(SPEC, encoding="utf-8")
    return path


def test_a_path(spec_path):
    assert read_spec(str(spec_path), overrides=["corpus.uri=d"]).corpus.uri == "d"


def test_a_byte_order_mark_is_no_key(spec_path):
    spec_path.write_bytes(b"\xef\xbb\xbf" + SPEC.encode())
    assert read_spec(str(spec_path)).corpus.uri == "c"


def test_what_is_no_spec_is_said(tmp_path, spec_path):
    with pytest.raises(SpecError, match=r"no spec at .*nite.yaml .*in that folder: night.yaml"):
        read_spec(str(tmp_path / "nite.yaml"))
    with pytest.raises(SpecError, match="is a folder"):
        read_spec(str(tmp_path))
    spec_path.write_bytes(b"corpus: \xff\xfe")
    with pytest.raises(SpecError, match="byte 8 is not UTF-8"):
        read_spec(str(spec_path))


def test_run_is_a_spec_or_a_uri(spec_path):
    assert isinstance(read_target(str(spec_path)), RunSpec)
    assert read_target("s3://b/out/runs/0a1b") == "s3://b/out/runs/0a1b"
    assert read_target("./out/runs/0a1b") == "./out/runs/0a1b"
    with pytest.raises(SpecError, match="leave --set out"):
        read_target("./out/runs/0a1b", overrides=["a=1"])
