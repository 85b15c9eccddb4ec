"""Whether a checkpoint brings a chat template: told from its files, without loading a tokenizer.

Knows where transformers looks for one; renders nothing and imports no torch. Called by wiring.
"""

from __future__ import annotations

import json

from halluc_ray.models.checkpoint_sources import Source

_TEMPLATE_FILES = frozenset({"chat_template.jinja", "chat_template.json"})
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
