"""One system of one run, as a side of a comparison: its shards and the place of each row in the corpus.

Knows run records and which entry of one holds a named system; does not know what it is compared with.
Callers: `pairing`, `flips`, `evaluation.comparing`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.records import Commit, Shard
from halluc_ray.records.runs import NO_NAME, RunRecord, SystemRecord
from halluc_ray.reports.parts import iter_parts, read_commits
from halluc_ray.reports.reduce import RunCounts
from halluc_ray.reports.sample_rows import RowGroups, ShardRows, all_positions
from halluc_ray.storage.files import CorpusFile
from halluc_ray.storage.store import ObjectStore

_WINDOW = 8


@dataclass(frozen=True, slots=True)
class PlacedShard:
    """A shard of a side, and where its rows lie.

    Attributes:
        number: position among the system's shards.
        file: digest of the corpus file and how many equal files come before it.
        first_row: rows of the file before the shard.
    """

    number: int
    shard: Shard
    file: tuple[str, int]
    first_row: int


@dataclass(frozen=True, slots=True)
class Side:
    """One system of one run.

    Attributes:
        store: where the run lies.
        run_id: of the run.
        record: the run.
        system: the entry that holds the system.
        name: the system's name in the report; one of many where `system` has `name_from`.
        sources: file digest -> corpus file.
    """

    store: ObjectStore
    run_id: str
    record: RunRecord
    system: SystemRecord
    name: str
    sources: Mapping[str, CorpusFile]
    groups: RowGroups = field(default_factory=RowGroups)

    def placed(self) -> Iterator[PlacedShard]:
        """The system's shards in corpus order."""
        times: Counter[str] = Counter()
        ahead: Counter[tuple[str, int]] = Counter()
        for number, shard in enumerate(self.record.shards(self.system)):
            file = (shard.source.file, times[shard.key])
            yield PlacedShard(number, shard, file, ahead[file])
            times[shard.key] += 1
            ahead[file] += shard.source.num_rows

    def markers(self) -> list[Commit]:
        """The commit of each shard's verdicts. Raises ObjectMissing where there is none."""
        return read_commits(self.store, self.system.count, [shard.key for shard in self.record.shards(self.system)])

    def verdicts(self) -> Iterator[tuple[PlacedShard, ShardRows, bytes]]:
        """Every shard with access to its units and the bytes of its verdicts, a few read ahead."""
        markers = self.markers()
        parts = iter_parts(self.store, self.system.count, markers, window=_WINDOW)
        for placed, marker, data in zip(self.placed(), markers, parts, strict=True):
            yield placed, self.rows(placed.shard, marker), data

    def rows(self, shard: Shard, marker: Commit) -> ShardRows:
        """Access to one shard."""
        return ShardRows(self.store, self.record, self.system, shard, marker, self.sources, self.groups)

    @property
    def corpus(self) -> tuple[object, ...]:
        """What makes two sides' rows the same rows: files by content, and what was selected of them."""
        digests = sorted(file.digest for file in self.record.corpus.files)
        return (tuple(digests), repr(sorted(self.record.corpus.selection.items())))


def sides_of(
    store: ObjectStore, record: RunRecord, *, run_id: str, counts: RunCounts, sources: Mapping[str, CorpusFile]
) -> list[Side]:
    """Every system of a run, in the order of its report."""
    groups = RowGroups()
    return [
        Side(store, run_id, record, record.systems[position], name, sources, groups)
        for name, position in counts.systems
    ]


def of_system(part: pa.Table, side: Side) -> pa.Array:
    """Positions of the side's own units in a verdict part."""
    if side.system.name is not None:
        return all_positions(part)
    names = part["system"].cast(pa.string()).fill_null(NO_NAME).combine_chunks()
    return pc.indices_nonzero(pc.equal(names, side.name)).cast(pa.int64())
