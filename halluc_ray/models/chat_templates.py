"""Chat templates: whether a checkpoint brings one, told from its files, and the day that they write into prompts.

Knows where transformers looks for one; renders nothing and imports no torch. Callers: wiring; `rendering`
and `image_prompts`, for the day.
"""

from __future__ import annotations

import json
from datetime import datetime

from halluc_ray.models.checkpoint_sources import Source

_TEMPLATE_FILES = frozenset({"chat_template.jinja", "chat_template.json"})
_TODAY = datetime(2024, 7, 26)
"""The day that Llama's templates name where they are told none."""

_CLOCK = "strftime_now"
_DIRECTIVES = "aAbBcdHIjmMpSUwWxXyY"
_CONFIGS = ("tokenizer_config.json", "processor_config.json")


def has_chat_template(source: Source) -> bool:
    """Whether turns can be rendered for the checkpoint at a place.

    A config that can't be read says nothing against it: loading the tokenizer will tell.
    """
    files = {file.name: file for file in source.files()}
    if _TEMPLATE_FILES & files.keys():
        return True
    try:
        configs = [json.loads(b"".join(source.chunks(files[name]))) for name in _CONFIGS if name in files]
        return any(config.get("chat_template") for config in configs)
    except (ValueError, AttributeError):
        return True


def on_one_day(template: str) -> str:
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
