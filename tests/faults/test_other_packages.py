"""Nodes with another package than the driver's, or none that can be imported: the run ends at once and says so."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import halluc_ray
from halluc_ray.engine.driver import Driver
from halluc_ray.engine.placement import Placement
from halluc_ray.engine.tally import Tally
from halluc_ray.engine.versions import PACKAGE, versions_here
from halluc_ray.errors import VersionMismatch
from halluc_ray.evaluation.planning import done_shards, missing_tasks
from halluc_ray.storage import open_store
from halluc_ray.storage.probe import leave_nonce
from tests.unit.engine.whole import answers, plan_of, spec_of, write


def drive(folder: Path, package: Path) -> None:
    """Run two shards of recorded answers on actors whose package is a copy in `package`.

    Ray puts the driver's folder first on an actor's path, so the copy is imported before Ray is there.
    """
    (package.parent / "sitecustomize.py").write_text("import halluc_ray\n")
    corpus = write(folder / "c" / "a.parquet", answers(range(10)), group_rows=5)
    plan = plan_of(spec_of(corpus, folder / "out", engine={"shard_rows": 5, "actors": 1}))
    store = open_store(plan.context.spec.output)
    tasks = missing_tasks(plan, done_shards(store, plan))
    options = {"num_cpus": 1, "runtime_env": {"env_vars": {"PYTHONPATH": str(package.parent)}}}
    placement = Placement("cpu", None, 1, options)
    tally = Tally(plan, tasks)
    Driver(plan, tasks, placement=placement, nonce=leave_nonce(store), tally=tally, on_tick=lambda: None).run()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    copy = tmp_path / "given" / "halluc_ray"
    shutil.copytree(Path(halluc_ray.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_another_commit_of_the_same_version_is_refused_by_both_names(
    package: Path, tmp_path: Path, ray_here: None
) -> None:
    with (package / "text" / "units.py").open("a") as module:
        module.write("CHANGED = True\n")
    ours = re.escape(versions_here()[PACKAGE])
    version = ours.split("\\ ")[0]
    said = rf"^node \S+: halluc-ray: the driver has {ours}, the node {version} \(\w+\) \(in {package}\); give the nodes"
    with pytest.raises(VersionMismatch, match=said):
        drive(tmp_path, package)


def test_a_package_that_can_not_be_imported_is_told_at_once(package: Path, tmp_path: Path, ray_here: None) -> None:
    (package / "engine" / "worker.py").write_text("raise ImportError('no module of that name')\n")
    with pytest.raises(VersionMismatch, match=r"actor-0: its node has no halluc_ray.*no module of that name"):
        drive(tmp_path, package)


def test_a_package_that_takes_other_arguments_is_told_at_once(package: Path, tmp_path: Path, ray_here: None) -> None:
    worker = package / "engine" / "worker.py"
    worker.write_text(worker.read_text().replace("        context: Sequence[Any],\n", ""))
    with pytest.raises(VersionMismatch, match=r"actor-0: its node has .* another one than the driver.*"):
        drive(tmp_path, package)
