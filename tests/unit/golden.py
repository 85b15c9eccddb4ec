"""Golden outputs: how they are held, and the words of the failure when they change."""

import json
import os
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("golden")
UPDATE = "HALLUC_RAY_UPDATE_GOLDEN"


def hold(name: str, found: Any, *, version: int | str, what: str, where: str) -> None:
    """Compare with the file of this version; with HALLUC_RAY_UPDATE_GOLDEN set, write it where there is none."""
    path = FOLDER / f"{name}.v{version}.json"
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if not path.exists() and os.environ.get(UPDATE):
        path.write_text(text, encoding="utf-8")
    assert path.exists(), (
        f"{what} has version {version} and no golden file {path.name}: "
        f"run this test once with {UPDATE}=1 and commit the file"
    )
    if path.read_text(encoding="utf-8") != text:
        before, after = json.loads(path.read_text(encoding="utf-8")), json.loads(text)
        raise AssertionError(
            f"{what} gives other output under the same version {version}: stored work would be mixed with it. "
            f"Raise {where}, then run this test once with {UPDATE}=1 and commit the new file; "
            f"first difference: {_first_difference(before, after)}"
        )


def _first_difference(before: Any, after: Any, path: str = "") -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                return _first_difference(before.get(key), after.get(key), f"{path}/{key}")
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (one, other) in enumerate(zip(before, after, strict=True)):
            if one != other:
                return _first_difference(one, other, f"{path}/{position}")
    return f"{path}: {before!r} -> {after!r}"
