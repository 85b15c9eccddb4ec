"""Turns of a chat as the text that a checkpoint's chat template makes of them, the same on every day.

Knows transformers' tokenizers by what it is given; knows no corpus and no limit. Callers: `rendering`,
`image_prompts`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2

from halluc_ray.errors import SpecError
from halluc_ray.models.prompts import UnusableRow

_TODAY = datetime(2024, 7, 26)
"""The day that Llama's templates name where they are told none."""

_CLOCK = "strftime_now"
_DIRECTIVES = "aAbBcdHIjmMpSUwWxXyY"


class Chat:
    """The chat template of one checkpoint."""

    def __init__(self, tokenizer: Any, *, where: str, template: str | None = None) -> None:
        """Find the template.

        Args:
            tokenizer: of the checkpoint.
            where: key path of `chat`, for messages.
            template: a processor's, which comes before the tokenizer's own.

        Raises:
            SpecError: there is none, or several and none of them is the usual one.
        """
        if template is None and tokenizer.chat_template is None:
            raise SpecError(
                f"{where}: true, and the checkpoint has no chat template; set chat: false, or name a checkpoint that "
                "was tuned to chat"
            )
        try:
            found = tokenizer.get_chat_template(template)
        except ValueError as error:
            raise SpecError(f"{where}: true, and no chat template can be chosen ({error}); set chat: false") from error
        self._tokenizer = tokenizer
        self._template = _on_one_day(found)

    def text(self, turns: Sequence[Mapping[str, Any]]) -> str:
        """The prompt up to where the model is to speak, special tokens included.

        Args:
            turns: `role` and `content` of each.

        Raises:
            UnusableRow: the template refuses the turns.
        """
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    list(turns), chat_template=self._template, tokenize=False, add_generation_prompt=True
                )
            )
        except jinja2.TemplateError as error:
            raise UnusableRow(
                "chat_template_refused", f"the chat template does not take the turns ({error})"
            ) from error


def _on_one_day(template: str) -> str:
    """A chat template that writes the same day on every day: else prompts, and so answers, would change overnight.

    `strftime_now`, which transformers gives to templates, is hidden by a macro of that name. Its closing tag
    ends a line, so that the template's own first line is trimmed as before.
    """
    if _CLOCK not in template:
        return template
    said = {f"%{letter}": _TODAY.strftime(f"%{letter}") for letter in _DIRECTIVES}
    return (
        f"{{%- macro {_CLOCK}(format) %}}{{%- set day = namespace(text=format) %}}"
        f"{{%- for directive, said in {json.dumps(said)}.items() %}}"
        "{%- set day.text = day.text.replace(directive, said) %}{%- endfor %}{{- day.text }}{%- endmacro %}\n"
        + template
    )
