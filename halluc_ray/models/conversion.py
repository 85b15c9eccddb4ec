"""Older checkpoints, whose weights are pickles, made into checkpoints that may be run.

The pickles are read by a child process that holds no credentials, has a time limit, and reads nothing
but tensors (`pickled_weights`). Config and tokenizer files are copied; what results is inspected as any
checkpoint is, then moved to its place whole. Knows files and processes; imports no torch. Caller: the
command line.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from halluc_ray.errors import InputError
from halluc_ray.models.checkpoint_sources import FolderSource, Source, SourceFile
from halluc_ray.models.checkpoints import ADAPTER_CONFIG, CONFIG, inspect_checkpoint

MAX_SHARD_BYTES = 5_000_000_000
TIMEOUT_S = 3600.0
_PICKLED = re.compile(r"(pytorch|adapter)_model(-\d+-of-\d+)?\.bin")
_INDEX = "pytorch_model.bin.index.json"
_COPIED = frozenset([".json", ".txt", ".model", ".spm", ".jinja", ".md"])
_PASSED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "OMP_NUM_THREADS", "LANG", "LC_ALL")


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion wrote.

    Attributes:
        folder: the new checkpoint.
        num_tensors: tensors written; each was read back and is equal bit by bit.
        tied: names left out because the architecture ties them -> the name that holds their weights.
        files: names in the folder.
    """

    folder: Path
    num_tensors: int
    tied: Mapping[str, str]
    files: tuple[str, ...]


def convert_checkpoint(
    source: Source, *, out: Path, timeout_s: float = TIMEOUT_S, max_shard_bytes: int = MAX_SHARD_BYTES
) -> Conversion:
    """Write a checkpoint or adapter with `.bin` weights as one with safetensors.

    Args:
        source: from `open_source` with `pickled=True`.
        out: a folder that does not exist or is empty.
        timeout_s: seconds that reading and writing the weights may take.
        max_shard_bytes: size that no weight file exceeds, but for a tensor that is larger alone.

    Raises:
        InputError: there is nothing to convert, a pickle needs code or is cut, the child died or took
            too long, or `out` is in use. Nothing is left at `out`.
    """
    out = out.expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and is not an empty folder; name a new one")
    files = {file.name: file for file in source.files()}
    pickled = pickled_files(source, files)
    name = "adapter_model" if pickled[0].startswith("adapter") else "model"
    unfinished = out.parent / f".{out.name}-{secrets.token_hex(4)}"
    try:
        unfinished.mkdir(parents=True)
        pickles, made = unfinished / "pickles", unfinished / "made"
        pickles.mkdir()
        made.mkdir()
        _bring(source, [files[key] for key in pickled], pickles)
        copied = [file for key, file in files.items() if PurePosixPath(key).suffix in _COPIED and key != _INDEX]
        _bring(source, [file for file in copied if file.name == CONFIG], pickles)
        answer = _run_child(source.uri, pickles, made, name, timeout_s=timeout_s, max_shard_bytes=max_shard_bytes)
        for file in copied:
            _copy(source, file, made)
        if name == "model":
            inspect_checkpoint(FolderSource(made, source.uri))
        made.rename(out)
    except OSError as error:
        raise InputError(f"checkpoint {source.uri}: can't be converted into {out} ({error}); see to that") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Conversion(out, answer["tensors"], answer["tied"], tuple(sorted(path.name for path in out.iterdir())))


def pickled_files(source: Source, files: Mapping[str, SourceFile]) -> list[str]:
    """Names of the pickled weights: those that the index names, else the one there is.

    Raises:
        InputError: there are none, they are not whole, or no config tells what they are.
    """
    held = ", ".join(sorted(files)[:8]) or "nothing"
    if safe := [name for name in sorted(files) if name.endswith("model.safetensors")]:
        raise InputError(f"checkpoint {source.uri}: it holds {safe[0]} already; there is nothing to convert")
    if not {CONFIG, ADAPTER_CONFIG} & set(files):
        raise InputError(f"checkpoint {source.uri}: no {CONFIG} there (it holds {held}); name the folder that holds it")
    if _INDEX in files:
        named = _indexed(source, files[_INDEX])
        if missing := [name for name in named if name not in files]:
            raise InputError(f"checkpoint {source.uri}: {_INDEX} names {missing}, not there; copy it whole")
        return named
    found = sorted(name for name in files if _PICKLED.fullmatch(name))
    if len(found) != 1:
        raise InputError(
            f"checkpoint {source.uri}: {len(found)} files of .bin weights and no index there (it holds {held}); "
            f"expected pytorch_model.bin, adapter_model.bin, or shards with {_INDEX}"
        )
    return found


def _indexed(source: Source, file: SourceFile) -> list[str]:
    try:
        names = sorted(set(json.loads(b"".join(source.chunks(file)))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"checkpoint {source.uri}: {_INDEX} can't be read ({error!r}); copy it again") from error
    if strange := [name for name in names if not _PICKLED.fullmatch(str(name))]:
        raise InputError(f"checkpoint {source.uri}: {_INDEX} names {strange[:4]}, which are no shards of .bin weights")
    if not names:
        raise InputError(f"checkpoint {source.uri}: {_INDEX} names no file; copy it again")
    return names


def _bring(source: Source, files: Iterable[SourceFile], folder: Path) -> None:
    """The files in a folder of this machine: linked where they are local, fetched where they are not."""
    for file in files:
        if isinstance(source, FolderSource):
            (folder / file.name).symlink_to((source.folder / file.name).resolve())
        else:
            _copy(source, file, folder)


def _copy(source: Source, file: SourceFile, folder: Path) -> None:
    (folder / file.name).parent.mkdir(exist_ok=True)
    with (folder / file.name).open("wb") as out:
        for chunk in source.chunks(file):
            out.write(chunk)


def _run_child(
    uri: str, pickles: Path, made: Path, name: str, *, timeout_s: float, max_shard_bytes: int
) -> dict[str, Any]:
    answer = pickles / "answer.json"
    command = [sys.executable, "-m", "halluc_ray.models.pickled_weights"]
    command += [str(pickles.absolute()), str(made.absolute()), name, str(max_shard_bytes), str(answer.absolute())]
    environment = {key: os.environ[key] for key in _PASSED_ON if key in os.environ}
    environment |= {"HOME": str(pickles.absolute()), "HF_HUB_OFFLINE": "1"}
    with (
        (pickles / "stderr").open("w+", encoding="utf-8", errors="replace") as said,
        subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
            start_new_session=True,
        ) as child,
    ):  # fmt: skip
        try:
            child.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise InputError(
                f"checkpoint {uri}: reading its pickles took longer than {timeout_s:g} s; give it more with --timeout"
            ) from error
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
        said.seek(0)
        if child.returncode != 0:
            raise InputError(f"checkpoint {uri}: the process that read its pickles {_death(child.returncode, said)}")
    found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "refused" in found:
        raise InputError(f"checkpoint {uri}: {found['refused']}")
    return found


def _death(code: int, said: Iterable[str]) -> str:
    if code == -signal.SIGKILL:
        return "was killed, most likely for want of memory; convert it on a machine with more"
    lines = [line.strip() for line in said if line.strip()]
    how = signal.Signals(-code).name if code < 0 else f"code {code}"
    return f"ended with {how} ({lines[-1] if lines else 'it said nothing'}); the file is damaged, or meant to harm"
