"""From a sample to the text a model is fed: templates without code.

A template holds literal text and `{name}` placeholders; `{{` and `}}` are literal braces. There is
no format spec, attribute or expression, so a template can't run anything. Does not know which names
a corpus has, nor tokens. Callers: wiring (`inputs`), and the models, which parse at load and fill per
sample.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from halluc_ray.errors import InputError, SpecError
from halluc_ray.records import Sample

PROMPT = "{prompt}"
MESSAGES = "{messages}"

_PIECE = re.compile(r"(?P<literal>\{\{|\}\}|[^{}]+)|\{(?P<name>[^{}]*)\}|(?P<stray>[{}])")


class UnusableRow(InputError):
    """One row can't be fed to the model, or made it fail, for a reason that is the row's own.

    Attributes:
        reason: short snake_case code, stored as the unit's failure.
        detail: the same for a reader.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: pieces of literal text and placeholders, in order."""

    pieces: tuple[tuple[bool, str], ...]

    @property
    def names(self) -> frozenset[str]:
        """The placeholders: roles and corpus columns that the template reads."""
        return frozenset(text for is_name, text in self.pieces if is_name)


def parse(template: str, *, where: str = "template") -> Template:
    """Read a template.

    Args:
        template: such as `Answer briefly. {prompt}`.
        where: key path in the spec, for messages.

    Raises:
        SpecError: a brace without its partner, or a placeholder without a name.

    >>> fill(parse("Q: {prompt} {{sic}}"), {"prompt": "why?"})
    'Q: why? {sic}'
    """
    pieces: list[tuple[bool, str]] = []
    for match in _PIECE.finditer(template):
        if match["stray"]:
            raise SpecError(
                f"{where}: {match['stray']!r} at character {match.start()} of {template!r} has no partner; "
                "close the placeholder, or double the brace to mean it literally"
            )
        if match["name"] is None:
            pieces.append((False, {"{{": "{", "}}": "}"}.get(match["literal"], match["literal"])))
        else:
            pieces.append((True, _named(match, template, where)))
    return Template(tuple(pieces))


def _named(match: re.Match[str], template: str, where: str) -> str:
    if match["name"].strip():
        return match["name"]
    raise SpecError(
        f"{where}: the placeholder at character {match.start()} of {template!r} has no name; name a role or a corpus "
        "column, such as {prompt}, or double the braces to mean them literally"
    )


def fill(template: Template, fields: Mapping[str, str]) -> str:
    """The text of one sample.

    Args:
        template: parsed.
        fields: text by placeholder; one whose value is null is absent.

    Raises:
        UnusableRow: a placeholder's value is null; the reason is `null_<name>`.
    """
    texts: list[str] = []
    for is_name, text in template.pieces:
        if is_name and text not in fields:
            raise UnusableRow(f"null_{text}", f"the row has no {text}, which the template reads")
        texts.append(fields[text] if is_name else text)
    return "".join(texts)


def fill_row(template: Template, sample: Sample) -> str:
    """The text that a template makes of a row; `{id}` is the row's, or where none is mapped the column of that name.

    Raises:
        UnusableRow: see `fill`.
    """
    return fill(template, {"id": sample.id, **sample.fields})
