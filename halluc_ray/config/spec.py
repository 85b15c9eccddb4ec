"""The run spec: one frozen tree of pydantic models, one class per section of the YAML.

Knows the shape of a spec and what is allowed in it; reads no file and opens no store. Options of
indicators are an open set: they are kept as written here and checked where the indicators live.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from halluc_ray.config.section import Name, Section, Share
from halluc_ray.config.systems import System

ROLES = ("id", "prompt", "messages", "context", "image", "reference", "options", "response", "label")


class Columns(Section):
    """Which corpus column plays which role."""

    id: str | None = Field(
        default=None, description="Identifies a row across runs; without it, rows are known by location."
    )
    prompt: str | None = Field(default=None, description="What the system is asked, or the text to classify.")
    messages: str | None = Field(
        default=None, description="A conversation: a list of {role, content}, or the same as JSON text."
    )
    context: str | None = Field(
        default=None, description="Source the answer must agree with: a document, or a list of passages."
    )
    image: str | None = Field(default=None, description="Image bytes, a path or s3:// URI, or a list of these.")
    reference: str | None = Field(default=None, description="The truth: one text or a list of which any matches.")
    options: str | None = Field(
        default=None,
        description="What may be chosen from, for `choices`; true ones (`reference`) may be left out.",
    )
    response: str | None = Field(default=None, description="A recorded answer.")
    label: str | None = Field(default=None, description="A recorded verdict: true where the answer is a hallucination.")

    def mapped(self) -> dict[str, str]:
        """Role -> column, for the roles that are set."""
        return {role: column for role in ROLES if (column := getattr(self, role)) is not None}


class Corpus(Section):
    """Which rows are evaluated."""

    uri: str = Field(
        min_length=1, description="A Parquet file, a folder (its *.parquet), a glob, or s3://bucket/prefix."
    )
    columns: Columns = Columns()
    cluster: str | None = Field(
        default=None, description="Column of the source that rows share; such rows are not independent."
    )
    where: str | None = Field(default=None, description="SQL condition on corpus columns, such as \"lang = 'en'\".")
    sample: Share | None = Field(default=None, description="Share of rows, chosen by hash of id.")
    limit: int | None = Field(
        default=None, gt=0, description="The N rows with the smallest hash of id among what `where` keeps."
    )
    on_bad_row: Literal["fail_row", "stop"] = "fail_row"

    @model_validator(mode="after")
    def _one_way_to_sample(self) -> Corpus:
        if self.sample is not None and self.limit is not None:
            raise ValueError("`sample` and `limit` exclude each other; keep one")
        return self


class IndicatorSpec(BaseModel):
    """One indicator: its kind, its name (default: the kind) and options of that kind."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str
    name: Name = ""

    @model_validator(mode="before")
    @classmethod
    def _name_defaults_to_kind(cls, value: Any) -> Any:
        if isinstance(value, dict) and "name" not in value and isinstance(value.get("kind"), str):
            return {**value, "name": value["kind"]}
        return value

    @property
    def options(self) -> dict[str, Any]:
        """Every key beside `kind` and `name`, as written."""
        return dict(self.model_extra or {})


class Summary(Section):
    """A mean by system and slice: of a numeric corpus column, or of an indicator's scores."""

    name: Name
    column: str | None = Field(default=None, description="Numeric corpus column.")
    score: Name | None = Field(
        default=None, description="Name of an indicator; its mean score, over the units that it scores."
    )
    where: str | None = None

    @model_validator(mode="after")
    def _one_thing_is_averaged(self) -> Summary:
        if (self.column is None) == (self.score is None):
            raise ValueError("set one of `column` (a numeric corpus column) and `score` (an indicator's name)")
        return self


class Engine(Section):
    """How the work is spread. None of it changes a result, save what `numerics` in the plan records."""

    actors: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    accelerator: str | None = Field(
        default=None, description="Ray accelerator type, such as H100; requested and recorded."
    )
    gpus_per_actor: Annotated[float, Field(ge=0)] = 1
    cpus_per_actor: Annotated[int, Field(gt=0)] = 1
    tokens_per_batch: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    shard_rows: Annotated[int, Field(gt=0)] | Literal["auto"] = "auto"
    bitwise: bool = True

    @model_validator(mode="after")
    def _gpus_can_be_had(self) -> Engine:
        if self.gpus_per_actor > 1 and self.gpus_per_actor != int(self.gpus_per_actor):
            raise ValueError(
                f"gpus_per_actor: {self.gpus_per_actor} is no share of one GPU and no whole number of them"
            )
        if self.device == "cuda" and self.gpus_per_actor == 0:
            raise ValueError("gpus_per_actor: 0 gives a cuda actor no GPU; set a share of one, or device: cpu")
        return self


class Store(Section):
    """Where an S3-compatible store answers. Credentials come from the environment, never from a spec."""

    endpoint: str | None = None
    region: str | None = None


class RunSpec(Section):
    """A whole run."""

    corpus: Corpus
    systems: tuple[System, ...] = Field(min_length=1)
    indicators: tuple[IndicatorSpec, ...] = Field(min_length=1)
    slices: tuple[str | tuple[str, ...], ...] = ()
    summaries: tuple[Summary, ...] = ()
    output: str = Field(
        default="./out", min_length=1, description="Root that many runs share: a folder or s3://bucket/prefix."
    )
    engine: Engine = Engine()
    store: Store = Store()
    max_failed: float = Field(
        0.01, ge=0, le=1, description="Share of failed rows above which the run ends with code 3."
    )
    confidence: float = Field(default=0.95, gt=0, lt=1, description="Level of the intervals.")

    def slice_columns(self) -> tuple[tuple[str, ...], ...]:
        """Each slice as a tuple of column names."""
        return tuple((s,) if isinstance(s, str) else s for s in self.slices)

    @model_validator(mode="after")
    def _names_are_unique(self) -> RunSpec:
        for section, names in (
            ("systems", [s.name for s in self.systems if s.name is not None]),
            ("indicators", [i.name for i in self.indicators]),
            ("summaries", [s.name for s in self.summaries]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{section}: two are called {twice[0]!r}; give each its own `name`")
        return self

    @model_validator(mode="after")
    def _summaries_name_indicators(self) -> RunSpec:
        names = [indicator.name for indicator in self.indicators]
        for k, summary in enumerate(self.summaries):
            if summary.score is not None and summary.score not in names:
                there = ", ".join(names)
                raise ValueError(f"summaries[{k}].score: no indicator is called {summary.score!r}; there is {there}")
        return self

    @model_validator(mode="after")
    def _slices_differ(self) -> RunSpec:
        columns = self.slice_columns()
        for position, entry in enumerate(columns):
            if not entry or len(set(entry)) < len(entry) or entry in columns[:position]:
                raise ValueError(f"slices[{position}]: {list(entry)} is empty or repeats a column or an earlier slice")
        return self
