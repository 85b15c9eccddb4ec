"""A finished run as a notebook shows it: tables as data frames, the report as HTML.

Knows the report and where the run lies; computes nothing. Made by `notebook`. Imports pandas only
when a frame is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from halluc_ray.evaluation.looking import find_samples
from halluc_ray.reports import report as reports

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a run found.

    Attributes:
        result: everything that report.json says, as plain records.
        uri: the run's folder: report.html, report.json, counts.parquet.
    """

    result: reports.Report
    uri: str

    @property
    def run_id(self) -> str:
        """By which the run is found again in its store."""
        return self.result.run_id

    @property
    def signature(self) -> str:
        """One line with every option that changes a number."""
        return self.result.signature

    @property
    def rates(self) -> pd.DataFrame:
        """One row per system, indicator and cell: the six outcomes, the rate and its interval.

        `slice` names the columns that a row is cut by (empty: all rows); each of them is a column too.
        """
        return frame_of(self.result.rates, reports.Rate)

    @property
    def summaries(self) -> pd.DataFrame:
        """One row per system, summary and cell: the mean and the rows that it is over."""
        return frame_of(self.result.summaries, reports.Mean)

    @property
    def reasons(self) -> pd.DataFrame:
        """How many units of each outcome gave which reason."""
        return frame_of(self.result.reasons, reports.Reason)

    def samples(self, where: str | None = None, *, limit: int = 20) -> pd.DataFrame:
        """Rows of the run with outcomes, evidence, outputs and texts; see `halluc-ray samples`.

        Args:
            where: SQL condition, such as `answer_mismatch = 'hallucinated'`.
            limit: rows at most.

        Raises:
            SpecError: the condition can't be evaluated; lists the columns that there are.
        """
        found: pd.DataFrame = find_samples(self.uri, where=where, limit=limit).to_pandas()
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything that report.json says."""
        return self.result.to_dict()

    def __repr__(self) -> str:
        return repr(self.result)

    def _repr_html_(self) -> str:
        return self.result._repr_html_()


def frame_of(records: Sequence[Any], kind: type[Any]) -> pd.DataFrame:
    """Records of one kind as a frame: names first, a column per column of a slice, then the numbers."""
    import pandas as pd

    rows = [asdict(record) for record in records]
    if "slice" not in kind.__dataclass_fields__:
        return pd.DataFrame(rows, columns=list(kind.__dataclass_fields__))
    cells: list[Mapping[str, Any]] = [row["slice"] for row in rows]
    taken = set(kind.__dataclass_fields__)
    by = {column: f"slice.{column}" if column in taken else column for cell in cells for column in cell}
    for row, cell in zip(rows, cells, strict=True):
        row["slice"] = ", ".join(cell)
        row |= {by[column]: value for column, value in cell.items()}
    head = [name for name in ("system", "indicator", "name") if name in taken] + ["slice", *by.values()]
    rest = [name for name in kind.__dataclass_fields__ if name not in head]
    return pd.DataFrame(rows, columns=[*head, *rest])
