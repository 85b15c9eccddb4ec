"""The selected rows of one shard, and what is wrong with each bad one.

Knows roles; reads no Parquet and knows no system's model, indicator or Ray. Called by shard runs; made by
`row_reader`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from halluc_ray.errors import BadRow
from halluc_ray.records import Shard

_NAMED_ROWS = 5
_MAY_BE_NULL = frozenset({"options", "reference"})
"""A choice is among both, so that either may be missing; a template that reads a null one fails as it is filled."""


@dataclass(slots=True)
class ShardRows:
    """The selected rows of one shard.

    Attributes:
        shard: the shard.
        place: file and row groups, for messages.
        rows: uint32 offsets in the shard's row range.
        ids: one text per row.
        roles: values by role; `reference` and `options` hold lists of text, `messages` lists of
            {role, content}, `label` and `image` are as stored, the others are text; `id` only where known.
        undecodable: by role, True where the stored bytes are no UTF-8.
        table: the corpus' own columns that were asked for.
        counts: corpus rows by fate, see `selection`; and `without_id`, of the selected.
    """

    shard: Shard
    place: str
    rows: npt.NDArray[np.uint32]
    ids: pa.Array
    roles: dict[str, pa.Array]
    undecodable: dict[str, npt.NDArray[np.bool_]]
    table: pa.Table
    counts: dict[str, int]

    def __len__(self) -> int:
        return len(self.rows)

    def failures(self, roles: Iterable[str]) -> list[str | None]:
        """Why each row can't be evaluated by a system that reads `roles`; None where it can."""
        reasons = self.undecodable_in(roles)
        for role in sorted(set(roles) - _MAY_BE_NULL):
            if role in self.roles and self.roles[role].null_count:
                for position in np.flatnonzero(pc.is_null(self.roles[role]).to_numpy(zero_copy_only=False)):
                    reasons[position] = reasons[position] or f"null_{role}"
        return reasons

    def undecodable_in(self, roles: Iterable[str]) -> list[str | None]:
        """Which of `roles` holds bytes that are no text, per row; None where none does."""
        reasons: list[str | None] = [None] * len(self)
        for role in sorted(roles):
            for position in np.flatnonzero(self.undecodable.get(role, ())):
                reasons[position] = reasons[position] or f"undecodable_{role}"
        return reasons

    def refuse_bad(self, reasons: list[str | None], columns: Mapping[str, str]) -> None:
        """Stop at bad rows.

        Raises:
            BadRow: naming file, row group, column, what is wrong and the first rows.
        """
        bad = [position for position, reason in enumerate(reasons) if reason]
        if bad:
            reason = reasons[bad[0]] or ""
            fault, _, role = reason.partition("_")
            alike = [int(self.rows[position]) for position in bad if reasons[position] == reason]
            raise BadRow(
                f"{self.place}: column {columns.get(role, role)!r} has {len(alike)} {fault} value(s) "
                f"(rows {_first(alike)} of the range); fix the corpus or set corpus.on_bad_row: fail_row"
            )

    def refuse_failed(self, generations: pa.Table) -> None:
        """Stop at rows that a model could not answer.

        Raises:
            BadRow: naming file, row group, the reason and the first rows.
        """
        failed = generations.filter(generations["failure"].is_valid())
        if len(failed):
            reason = failed["failure"][0].as_py()
            alike = failed.filter(pc.equal(failed["failure"].cast(pa.string()), reason))["row"].unique().to_pylist()
            raise BadRow(
                f"{self.place}: {len(alike)} row(s) got no output, reason {reason} (rows {_first(alike)} of the "
                "range); fix the corpus or set corpus.on_bad_row: fail_row"
            )


def _first(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:_NAMED_ROWS])) + (", …" if len(rows) > _NAMED_ROWS else "")
