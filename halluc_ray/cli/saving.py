"""Files that a command was asked to write beside what it prints. Called by `compare` and `gate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from halluc_ray.errors import InputError


def save_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made where it is missing.

    Raises:
        InputError: the folder can't be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise InputError(f"--save {folder}: {error.strerror}; name a folder that can be written") from error
