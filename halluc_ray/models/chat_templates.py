"""Whether a checkpoint brings a chat template: told from its files, without loading a tokenizer.

Knows where transformers looks for one; renders nothing and imports no torch. Called by wiring.
"""

from __future__ import annotations

import json

from halluc_ray.models.checkpoint_sources import Source

_TEMPLATE_FILES = frozenset({"chat_template.jinja", "chat_template.json"})
_TOKENIZER_CONFIG = "tokenizer_config.json"


def has_chat_template(source: Source) -> bool:
    """Whether turns can be rendered for the checkpoint at a place.

    A config that can't be read says nothing against it: loading the tokenizer will tell.
    """
    files = {file.name: file for file in source.files()}
    if _TEMPLATE_FILES & files.keys():
        return True
    if _TOKENIZER_CONFIG not in files:
        return False
    try:
        return bool(json.loads(b"".join(source.chunks(files[_TOKENIZER_CONFIG]))).get("chat_template"))
    except (ValueError, AttributeError):
        return True
