"""What lies in the folder of `make up`: who was started, with which keys, and what a shell must know.

    state.json         processes, keys and Ray's folder; written before anything waits
    env                to be sourced by a shell
    store/             files of the object store; they outlive `make down`
    prometheus/        its configuration and its series; they outlive it too
    *.log, ray         logs, and a link to Ray's own folder

Starts nothing. Called by `machine`.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from infra.object_store.server import Keys
from infra.up.processes import Part

_UNSET = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3")


@dataclass(frozen=True, slots=True)
class State:
    """What is written down of one machine that is up, or was.

    Attributes:
        admin, reader: keys of the object store, kept from one start to the next.
        ray_folder: Ray's folder; outside ours, since the paths of its sockets hold 107 characters.
        parts: processes in the order in which they were started.
        shown: what a user needs, by name of its environment variable.
        notes: what is not there, and why.
        complete: all of it answered.
    """

    admin: Keys = field(default_factory=Keys.random)
    reader: Keys = field(default_factory=Keys.random)
    ray_folder: str = ""
    parts: tuple[Part, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    complete: bool = False


def read_state(folder: Path) -> State | None:
    """What was written down; None where nothing was, or where a crash cut it short."""
    try:
        found = json.loads((folder / "state.json").read_text())
        admin, reader = Keys(**found.pop("admin")), Keys(**found.pop("reader"))
        parts = tuple(Part(**part) for part in found.pop("parts"))
        return State(admin=admin, reader=reader, parts=parts, notes=tuple(found.pop("notes")), **found)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write_state(folder: Path, state: State) -> State:
    """Write it down in one step, readable by this user alone."""
    _write_private(folder / "state.json", json.dumps(asdict(state), indent=1))
    return state


def make_folder(folder: Path) -> None:
    """The folder, closed to others and to git, and so to Ray's upload of a working directory."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")


def make_ray_folder(folder: Path, state: State) -> State:
    """A folder for Ray with a short path, and a link to it from ours."""
    ray_folder = tempfile.mkdtemp(prefix="hr-")
    link = folder / "ray"
    link.unlink(missing_ok=True)
    link.symlink_to(ray_folder)
    return write_state(folder, replace(state, ray_folder=ray_folder))


def write_environment(folder: Path, shown: Mapping[str, str], *, programs: Path) -> None:
    """Write `env`, for shells.

    Args:
        folder: where.
        shown: variables.
        programs: folder of `halluc-ray` and `ray`, put first on the path.
    """
    lines = [f"export PATH={shlex.quote(str(programs))}:$PATH", f"unset {' '.join(_UNSET)}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in shown.items()]
    _write_private(folder / "env", "\n".join(lines) + "\n")


def without_foreign(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without another cluster's or another store's settings."""
    return {name: value for name, value in environment.items() if not name.startswith("RAY_") and name not in _UNSET}


def _write_private(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.tmp")
    beside.touch(mode=0o600)
    beside.write_text(text)
    beside.replace(path)
