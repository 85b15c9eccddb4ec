"""From a system's `shots` to the examples that its prompts show: a file is read, and some are chosen.

What is chosen is a function of the examples' content and the seed, so that a file may be moved and,
where there is a seed, its lines shuffled. Knows JSON Lines and stores; fills no template. Called by
`prompting`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from halluc_ray.config import Shot, ShotChoice, Store
from halluc_ray.config.prompting import Shots
from halluc_ray.errors import ObjectMissing, SpecError
from halluc_ray.storage import open_store
from halluc_ray.storage.uris import LocalPlace, S3Place, parse_uri

_ANSWER = "answer"
_MOST_BYTES = 64 * 2**20
_SPARE = 1
"""One more than is shown stays in the pool, for the row that asks what a shown one asks."""


def settle_shots(shots: Shots, *, names: frozenset[str], store: Store, where: str) -> Shots:
    """The shots with their file read: those that are shown, and one to take the place of the row's own.

    Args:
        shots: as written.
        names: placeholders that an example must have.
        store: how the file's store is reached.
        where: key path of the system, for messages.

    Raises:
        SpecError: no such file, a line that is no example, fewer examples than are to be shown, or two
            that ask the same.
    """
    if not isinstance(shots, ShotChoice):
        return shots
    pool = shots.pool if shots.file is None else tuple(_read(shots.file, names, store, f"{where}.shots.file"))
    if len(pool) < shots.count:
        source = "pool" if shots.file is None else shots.file
        raise SpecError(
            f"{where}.shots.count: {shots.count} of {source}, which holds {len(pool)}; lower it, or add examples"
        )
    chosen = _chosen(pool, shots.seed)[: shots.count + _SPARE]
    return ShotChoice(pool=chosen, count=shots.count)


def _chosen(pool: Sequence[Shot], seed: int | None) -> tuple[Shot, ...]:
    """All of them, in the order in which they are taken."""
    return tuple(pool if seed is None else sorted(pool, key=lambda shot: _draw(shot, seed)))


def _draw(shot: Shot, seed: int) -> bytes:
    content = json.dumps([seed, sorted(shot.fields.items()), shot.answer], ensure_ascii=False)
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _read(location: str, names: frozenset[str], store: Store, where: str) -> Iterator[Shot]:
    seen: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(_text(location, store, where).split("\n"), start=1):
        if not line.strip():
            continue
        shot = _shot(line, names, f"{where}: {location} line {number}")
        question = tuple(shot.fields[name].strip() for name in sorted(names))
        if (before := seen.setdefault(question, number)) != number:
            raise SpecError(f"{where}: {location} line {number} asks what line {before} asks; keep one of them")
        yield shot


def _text(location: str, store: Store, where: str) -> str:
    match parse_uri(location):
        case LocalPlace(path):
            folder, key = str(path.parent), path.name
        case S3Place(bucket, whole_key):
            folder, _, key = f"s3://{bucket}/{whole_key}".rpartition("/")
    root = open_store(folder, endpoint=store.endpoint, region=store.region)
    info = root.info(key)
    if info is None:
        raise SpecError(f"{where}: there is no {location}; name a JSON Lines file, a path or s3:// URI")
    if info.size > _MOST_BYTES:
        raise SpecError(f"{where}: {location} has {info.size:,} bytes; examples are few: keep it below {_MOST_BYTES:,}")
    try:
        return root.read(key).decode("utf-8-sig")
    except ObjectMissing:
        raise SpecError(f"{where}: {location} went away while it was read; put it back") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{where}: {location} byte {error.start} is not UTF-8; save it as UTF-8") from error


def _shot(line: str, names: frozenset[str], place: str) -> Shot:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{place} is no JSON ({error}); each line is an object of its own") from error
    if not isinstance(found, dict):
        raise SpecError(f"{place} holds a {type(found).__name__}, not an object of placeholders and {_ANSWER!r}")
    missing = sorted((names | {_ANSWER}) - found.keys())
    if missing:
        raise SpecError(f"{place} lacks {missing[0]!r}; it has {', '.join(map(repr, found)) or 'nothing'}")
    fields = {name: _words(found[name], f"{place}, key {name!r}") for name in sorted(names)}
    return Shot(fields=fields, answer=_words(found[_ANSWER], f"{place}, key {_ANSWER!r}"))


def _words(value: Any, place: str) -> str:
    """A text, or a list of passages joined as a corpus' are; numbers and the like as JSON writes them."""
    if isinstance(value, str) and _is_unicode(value):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) and _is_unicode(item) for item in value):
        return "\n\n".join(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    raise SpecError(f"{place}: {json.dumps(value)[:60]} is no text; write a text, or a list of texts")


def _is_unicode(text: str) -> bool:
    """No half of a surrogate pair, which JSON may hold and UTF-8 may not."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
