"""What must be the same in a driver and its actors, and what is said where it is not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ray._private import utils as ray_utils

from halluc_ray.engine import placement
from halluc_ray.engine.versions import check_same, mismatch_of_cluster, place_here, source_digest, versions_here
from halluc_ray.errors import VersionMismatch, WorkerLost

HERE = {"python": "3.11.7", "ray": "2.60.0", "halluc-ray": "0.1.0 (aaa)"}


def package(folder: Path, **modules: str) -> Path:
    for name, text in modules.items():
        (folder / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(text)
    return folder


def test_a_digest_tells_what_modules_hold_and_where(tmp_path):
    one = source_digest(package(tmp_path / "1", a="x = 1", b="y = 2"))
    assert one == source_digest(package(tmp_path / "2", b="y = 2", a="x = 1"))
    assert one != source_digest(package(tmp_path / "3", a="x = 1", b="y = 3"))
    assert one != source_digest(package(tmp_path / "4", a="x = 1", c="y = 2"))
    (tmp_path / "1" / "__pycache__").mkdir()
    (tmp_path / "1" / "__pycache__" / "a.pyc").write_bytes(b"compiled")
    assert one == source_digest(tmp_path / "1")
    (tmp_path / "1" / ".#a.py").symlink_to("me@here.4711:1")
    package(tmp_path / "1" / ".ipynb_checkpoints", a="x = 0")
    assert one == source_digest(tmp_path / "1")


def test_it_costs_little():
    versions_here.cache_clear()
    began = time.process_time()
    versions_here()
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"python": "3.12.1"}, "python: the driver has 3.11.7, the node 3.12.1; start the driver and every node"),
        ({"ray": "2.59.0"}, "ray: the driver has 2.60.0, the node 2.59.0; start"),
        (
            {"halluc-ray": "0.1.0 (bbb)"},
            r"halluc-ray: the driver has 0.1.0 \(aaa\), the node 0.1.0 \(bbb\) \(in .*\); give the",
        ),
        ({"python": "3.12.1", "ray": "2.59.0"}, "node 3.12.1; ray: the driver has 2.60.0, the node 2.59.0; start"),
    ],
)
def test_what_differs_is_named_with_both(changes, said):
    with pytest.raises(VersionMismatch, match=said):
        check_same(HERE, place="elsewhere", here=HERE | changes)


def test_the_same_is_let_through():
    check_same(HERE, place="elsewhere", here=dict(HERE))


def test_a_folder_that_both_read_may_be_edited_but_not_silently(caplog):
    edited = HERE | {"halluc-ray": "0.1.0 (bbb)"}
    check_same(HERE, place=place_here(), here=edited)
    assert [record.getMessage() for record in caplog.records] == ["package edited under the run"]
    with pytest.raises(VersionMismatch, match=r"ray: .* \(in .*halluc_ray\); start"):
        check_same(HERE, place=place_here(), here=edited | {"ray": "2.59.0"})


def test_rays_refusal_is_read():
    metadata = {"ray_version": "2.59.0", "python_version": "3.12.1"}
    with pytest.raises(RuntimeError) as refused:
        ray_utils.check_version_info(metadata, "node 10.0.0.7")
    python, ray = ray_utils.compute_version_info()[1], ray_utils.compute_version_info()[0]
    said = str(mismatch_of_cluster(str(refused.value)))
    assert (
        f"Python: the cluster has 3.12.1, this process {python}; Ray: the cluster has 2.59.0, this process {ray};"
        in said
    )
    assert mismatch_of_cluster("no room for a plasma store") is None


def test_an_address_that_nobody_listens_at_is_refused_soon(monkeypatch):
    monkeypatch.setattr(placement, "REACH_S", 0.6)
    monkeypatch.setattr(placement.ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    said = r"^RAY_ADDRESS: 127\.0\.0\.1:9: Connection refused, for 1 s; look at the address"
    with pytest.raises(WorkerLost, match=said), placement.cluster():
        pass
