"""What every section of a spec is: frozen, and closed to keys beyond those declared."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Share = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """Base of every section: immutable, and no key beyond those declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")
