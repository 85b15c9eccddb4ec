"""The rules of the house: layers, who may import what, sizes, names, documentation."""

from __future__ import annotations

import ast
import doctest
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from halluc_ray.config import CheckpointSystem, System
from halluc_ray.engine.shards import SHARD_ROWS
from halluc_ray.models.kinds import KINDS
from halluc_ray.models.versions import SEMANTICS_VERSIONS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "halluc_ray"
MODULES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "jobs").rglob("*.py")])
RAY_MODULES = {f"halluc_ray/engine/{name}.py" for name in ("worker", "placement", "telemetry", "driver")}
TORCH = {"torch", "transformers", "accelerate", "safetensors", "tokenizers"}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "handler"}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imported(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Top-level package and line of every import, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0], node.lineno


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_there_is_a_house():
    assert len(MODULES) > 30


def test_ray_is_imported_in_four_modules_of_the_engine():
    found = {name_of(path) for path in MODULES if any(name == "ray" for name, _ in imported(tree_of(path)))}
    assert found <= RAY_MODULES


def test_torch_is_imported_in_models_only():
    found = [name_of(path) for path in MODULES if any(name in TORCH for name, _ in imported(tree_of(path)))]
    assert [name for name in found if not name.startswith("halluc_ray/models/")] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_is_one_thought(path):
    tree = tree_of(path)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    lengths = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in functions(tree)}
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}
    assert ast.get_docstring(tree), "a module says what it knows"
    assert path.stem not in FORBIDDEN_NAMES
    assert path.parent.name not in FORBIDDEN_NAMES


def test_only_the_command_line_prints():
    def prints(path: Path) -> bool:
        calls = (node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))
        return any(isinstance(func, ast.Name) and func.id == "print" for func in calls)

    assert [name_of(path) for path in MODULES if prints(path) and path.parent.name != "cli"] == []


def test_no_code_comes_from_data():
    """Nothing is unpickled from a store or a checkpoint, and no checkpoint brings its own code."""
    for path in MODULES:
        tree = tree_of(path)
        allowed = {"pickle"} if name_of(path) in RAY_MODULES else set()  # errors on their way between processes
        if name_of(path) == "halluc_ray/models/pickled_weights.py":  # a process of its own, for `halluc-ray convert`
            assert "pickle." not in path.read_text(encoding="utf-8"), "of pickle only the error is named"
            allowed = {"pickle"}
        assert not {name for name, _ in imported(tree)} & {"pickle", "dill", "cloudpickle", "joblib"} - allowed
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert name_of(path) == "halluc_ray/models/pickled_weights.py"
                assert {k.arg: ast.unparse(k.value) for k in node.keywords}["weights_only"] == "True"
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                assert isinstance(node.value, ast.Constant), name_of(path)
                assert node.value.value is False, name_of(path)


def test_every_kind_of_system_has_its_entries():
    """What a kind is stands in the config; each table of kinds has all of them, or all that load a checkpoint."""
    loading = {get_args(system.model_fields["kind"].annotation)[0] for system in get_args(CheckpointSystem)}
    assert loading == KINDS.keys()
    assert loading | {"endpoint", "recorded"} == SEMANTICS_VERSIONS.keys() == SHARD_ROWS.keys()
    union = get_args(get_args(System)[0])
    assert {get_args(system.model_fields["kind"].annotation)[0] for system in union} == SHARD_ROWS.keys()


def python(code: str) -> str:
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = "sorted({'torch', 'transformers', 'ray', 'pandas', 'datasets'} & set(sys.modules))"


def test_importing_the_package_loads_nothing_heavy():
    assert python(f"import sys, halluc_ray; print({HEAVY})").strip() == "[]"


def run_main(*arguments: str) -> str:
    return python(
        f"""
import sys
from halluc_ray.cli.app import main
sys.argv = ["halluc-ray", *{arguments!r}]
try:
    main()
except SystemExit:
    assert not {HEAVY}, {HEAVY}
"""
    )


def processor_seconds() -> float:
    """Of the children so far: unlike the clock, it does not depend on who else uses the machine."""
    times = os.times()
    return times.children_user + times.children_system


def test_help_loads_nothing_heavy_and_answers_at_once():
    assert "Exit codes" in run_main("--help")
    seconds = []
    commands = (
        "run",
        "plan",
        "status",
        "report",
        "samples",
        "compare",
        "gate",
        "schema",
        "demo",
        "convert",
        "import",
        "gc",
    )
    for command in commands:
        before = processor_seconds()
        assert "Example" in run_main(command, "--help")
        seconds.append(processor_seconds() - before)
    assert min(seconds) < 0.7


def test_imports_go_down_only():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_indicator_has_a_reference_and_a_doctest():
    from halluc_ray.indicators.registry import BUILTIN

    finder = doctest.DocTestFinder()
    for kind, indicator in BUILTIN.items():
        module = importlib.import_module(indicator.__module__)
        assert "Reference" in (indicator.__doc__ or "") + (module.__doc__ or ""), kind
        assert any(found.examples for found in finder.find(module)), kind


def test_make_test_is_what_ci_runs():
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    for script in (".ci/run", ".ci/system_packages"):
        assert os.access(ROOT / script, os.X_OK)


def test_constraints_are_plain_pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9A-Za-z.]+", line)] == []
