"""How a row becomes a prompt, and an output becomes an answer: sections that systems share.

Knows their shape; fills no template and reads no file. Called by `systems`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from halluc_ray.config.section import Section, Share


class Decoding(Section):
    """How a generative model picks its tokens. Temperature 0 is greedy."""

    max_new_tokens: int = Field(default=64, gt=0)
    temperature: float = Field(default=0.0, ge=0)
    top_p: Share = 1.0
    samples: int = Field(default=1, gt=0, le=1024, description="Draws per row.")
    seed: int = 0
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()

    @model_validator(mode="after")
    def _draws_differ(self) -> Decoding:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples > 1 with temperature 0 gives the same answer again; set a temperature")
        return self

    @model_validator(mode="after")
    def _nucleus_is_sampled_from(self) -> Decoding:
        if self.top_p < 1 and self.temperature == 0:
            raise ValueError(f"top_p: {self.top_p} has no effect at temperature 0, which is greedy; set a temperature")
        return self


class Shot(Section):
    """One worked example: values of the template's placeholders, and the answer to them."""

    fields: dict[str, str] = Field(min_length=1, description="Placeholder -> text, such as {prompt: 1 + 1?}.")
    answer: str


class ShotChoice(Section):
    """Worked examples to choose from."""

    file: str | None = Field(
        default=None, min_length=1, description="JSON Lines (a path or s3:// URI): placeholders and `answer`."
    )
    pool: tuple[Shot, ...] = Field(default=(), description="The examples themselves, in place of a file.")
    count: int = Field(default=5, gt=0, description="How many of them each prompt shows.")
    seed: int | None = Field(
        default=None, description="Chooses them, the same for every row; default: the first, as they stand."
    )

    @model_validator(mode="after")
    def _one_source(self) -> ShotChoice:
        if (self.file is None) == (not self.pool):
            raise ValueError("set one of `file` (JSON Lines) and `pool` (a list of shots)")
        return self


class Reasoning(Section):
    """What a model writes between tags before it answers; only the answer is scored."""

    tags: tuple[Annotated[str, Field(pattern=r"^\w+$")], ...] = Field(default=("think",), min_length=1)
    on_unclosed: Literal["failed", "answer"] = Field(
        default="failed",
        description="A trace that never ends: the unit fails (unclosed_reasoning), or its text is the answer.",
    )


def _written_as(value: Any) -> str:
    return "ShotChoice" if isinstance(value, Mapping | ShotChoice) else "list"


Shots = Annotated[
    Annotated[tuple[Shot, ...], Tag("list")] | Annotated[ShotChoice, Tag("ShotChoice")], Discriminator(_written_as)
]
