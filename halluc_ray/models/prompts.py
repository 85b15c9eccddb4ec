"""From a sample to the text a model is fed: templates without code.

A template holds literal text and `{role}` placeholders; `{{` and `}}` are literal braces. There is
no format spec, attribute or expression, so a template can't run anything. Knows roles; does not
know tokens. Callers: the models, which parse at load and fill per sample.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from halluc_ray.errors import InputError, SpecError

TEMPLATE_ROLES = ("prompt", "context", "reference", "response", "label", "id")

_PIECE = re.compile(r"(?P<literal>\{\{|\}\}|[^{}]+)|\{(?P<role>[^{}]*)\}|(?P<stray>[{}])")


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
    """A parsed template: pieces of literal text and roles, in order."""

    pieces: tuple[tuple[bool, str], ...]

    @property
    def roles(self) -> frozenset[str]:
        """The roles that the template reads."""
        return frozenset(text for is_role, text in self.pieces if is_role)


def parse(template: str, *, where: str = "template") -> Template:
    """Read a template.

    Args:
        template: such as `Answer briefly. {prompt}`.
        where: key path in the spec, for messages.

    Raises:
        SpecError: a brace without its partner, or a placeholder that is no role.

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
        if match["role"] is None:
            pieces.append((False, {"{{": "{", "}}": "}"}.get(match["literal"], match["literal"])))
        else:
            pieces.append((True, _known(match["role"], where)))
    return Template(tuple(pieces))


def _known(role: str, where: str) -> str:
    if role in TEMPLATE_ROLES:
        return role
    near = difflib.get_close_matches(role.strip().lower(), TEMPLATE_ROLES, n=1)
    hint = f"; did you mean {{{near[0]}}}?" if near else ""
    raise SpecError(f"{where}: {{{role}}} is no role; allowed: {', '.join(TEMPLATE_ROLES)}{hint}")


def fill(template: Template, fields: Mapping[str, str]) -> str:
    """The text of one sample.

    Args:
        template: parsed.
        fields: text by role; a role whose value is null is absent.

    Raises:
        UnusableRow: a role of the template is null; the reason is `null_<role>`.
    """
    texts: list[str] = []
    for is_role, text in template.pieces:
        if is_role and text not in fields:
            raise UnusableRow(f"null_{text}", f"the row has no {text}, which the template reads")
        texts.append(fields[text] if is_role else text)
    return "".join(texts)
