"""Parquet, Arrow, folders that `datasets` saved, and datasets on the hub, in small batches.

Arrow files, saved folders and the hub are streamed by `datasets`. Parquet goes through the house's own
reader of corpus files, which reads a bucket by range and says what is wrong with a damaged file.
`datasets` is told to leave torch alone: nothing here needs it, and loading it takes seconds. Caller: `reading`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from halluc_ray.corpora.importing.records import Place, Record, Rejection
from halluc_ray.corpora.importing.sources import HubDataset, SavedDataset, SourceFile
from halluc_ray.errors import InputError
from halluc_ray.storage.corpus_parquet import open_parquet
from halluc_ray.storage.files import verify_unchanged
from halluc_ray.storage.plain_types import plain_table
from halluc_ray.storage.uris import LocalPlace, parse_uri

_BATCH_ROWS = 256


def read_parquet(source: SourceFile) -> Iterator[Record | Rejection]:
    """Every row of a Parquet file; those whose text is no UTF-8 as rejections.

    Raises:
        InputError: no Parquet, or damaged; names the row group.
        InputChanged: it changed while it was read.
    """
    file = open_parquet(source.file)
    names = file.schema_arrow.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        file.close()
        raise InputError(f"{source.file.uri}: two columns are called {twice[0]!r}; rename one")
    row = 0
    try:
        for group in range(file.num_row_groups):
            try:
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], use_threads=False):
                    for found in _found(batch, source.name, row):
                        yield found
                        row += 1
            except (pa.ArrowException, OSError, OverflowError, ValueError) as error:
                verify_unchanged(source.file)
                raise InputError(
                    f"{source.file.uri} row group {group}, after {row:,} rows: {error}; write the file again"
                ) from error
    finally:
        file.close()
    verify_unchanged(source.file)


def _found(batch: pa.RecordBatch, name: str, row: int) -> Iterator[Record | Rejection]:
    try:
        for place, value in enumerate(batch.to_pylist(), start=row):
            yield Record(Place(name, place), value)
    except UnicodeDecodeError:
        yield from _decoded(batch, name, row)


def _decoded(batch: pa.RecordBatch, name: str, row: int) -> Iterator[Record | Rejection]:
    """The rows of a batch whose text columns hold bytes that are no UTF-8."""
    table = plain_table(pa.Table.from_batches([batch]))
    broken = [column for column in table.column_names if table.schema.field(column) != batch.schema.field(column)]
    for place, value in enumerate(table.to_pylist(), start=row):
        for column in broken:
            try:
                value[column] = _as_text(value[column])
            except UnicodeDecodeError as error:
                told = (
                    f"column {column!r} holds bytes that are no UTF-8 (byte {error.start} of the value); mend the row"
                )
                yield Rejection(Place(name, place), "not UTF-8", told)
                break
        else:
            yield Record(Place(name, place), value)


def _as_text(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_text(element) for element in value]
    return value.decode() if isinstance(value, bytes) else value


def read_arrow(source: SourceFile) -> Iterator[Record]:
    """Every row of an Arrow file, streamed by `datasets`.

    Raises:
        InputError: not on this machine, or no Arrow file.
    """
    if not isinstance(parse_uri(source.file.uri), LocalPlace):
        raise InputError(f"{source.file.uri}: Arrow files are read from a local folder; copy it here, or use Parquet")
    rows = _streamed("arrow", source.file.uri, data_files=[_literally(source.file.uri)], split="train")
    for row, value in enumerate(rows):
        yield Record(Place(source.name, row), value)


def saved_files(saved: SavedDataset, *, split: str | None) -> list[Path]:
    """The Arrow files of a folder that `datasets` saved, in order.

    Raises:
        InputError: it holds several splits and none was chosen, or the chosen one is not there.
    """
    folder = saved.path
    if (folder / "dataset_dict.json").is_file():
        splits = _read_json(folder / "dataset_dict.json").get("splits", [])
        if split is None and len(splits) == 1:
            split = splits[0]
        if split not in splits:
            asked = f"has no split {split!r}" if split else "holds several splits"
            raise InputError(f"{folder} {asked}; say --split, one of {', '.join(map(str, splits))}")
        folder = _below(folder, str(split))
    state = _read_json(folder / "state.json")
    files = [_below(folder, str(entry["filename"])) for entry in state.get("_data_files", [])]
    if lost := [path for path in files if not path.is_file()]:
        raise InputError(f"{lost[0]} is not there, though state.json names it; copy the folder again")
    return files


def _below(folder: Path, name: str) -> Path:
    """What a name in a saved folder's own description stands for: an entry of the folder, and nothing else."""
    if name != Path(name).name or name == "..":
        raise InputError(f"{folder} names {name!r} among its files, which is outside it; save the dataset again")
    return folder / name


def read_hub(dataset: HubDataset, *, name: str | None, split: str | None) -> Iterator[Record]:
    """Every row of one split of a dataset on the hub, streamed.

    Args:
        dataset: its id.
        name: its configuration.
        split: its split; needed where there are several.

    Raises:
        InputError: it, its configuration or its split is not there, or the hub can't be reached.
    """
    shown = f"hf://{dataset.id}"
    for row, value in enumerate(_streamed(dataset.id, shown, name=name, split=split or _only_split(dataset, name))):
        yield Record(Place(dataset.id, row), value)


def _only_split(dataset: HubDataset, name: str | None) -> str:
    datasets = _datasets()
    with _explained(f"hf://{dataset.id}"):
        splits = list(datasets.get_dataset_split_names(dataset.id, name))
    if len(splits) != 1:
        raise InputError(f"hf://{dataset.id} has the splits {', '.join(splits)}; say --split")
    return str(splits[0])


def _streamed(kind: str, shown: str, **options: Any) -> Iterator[dict[str, Any]]:
    datasets = _datasets()
    with _explained(shown):
        stream = datasets.load_dataset(kind, streaming=True, **options)
        stream = stream.decode(False) if hasattr(stream, "decode") else stream
        yield from stream


class _explained:  # noqa: N801 - used as a function
    """Turn what `datasets` and the hub raise into the house's error."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError | ValueError | pa.ArrowException | RuntimeError | KeyError):
            words = " ".join(str(error).split()) or type(error).__name__
            raise InputError(
                f"{self._shown} can not be read ({words[:300]}); check its name, --split and --config, and for the "
                "hub the network and HF_TOKEN"
            ) from error


def _datasets() -> Any:
    os.environ.setdefault("USE_TORCH", "0")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    import datasets

    return datasets


def _literally(path: str) -> str:
    """A path that `datasets` does not take for a pattern."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can not be read ({error}); copy the folder again") from error
