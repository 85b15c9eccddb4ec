"""Reading a processor (tokenizer and image processor) from a local folder through transformers.

Images are prepared by Pillow and numpy, whether or not torchvision is there, for its resizing gives
other numbers; and no part for videos is loaded, for frames come as images. Knows no template and no
batch. Callers: the models that look at images. Imports transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import transformers
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from halluc_ray.errors import ModelError

_LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError)
_VIDEO = "video_processor"
_NAMING = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")


def load_processor(folder: Path) -> Any:
    """The folder's processor.

    Raises:
        ModelError: there is none that transformers can make without torchvision.
    """
    try:
        return _processor_class(folder).from_pretrained(
            folder, backend="pil", local_files_only=True, trust_remote_code=False
        )
    except _LOAD_ERRORS as error:
        raise ModelError(
            f"checkpoint {folder}: no usable processor ({error}); copy the files of the base model's tokenizer and "
            "processor (processor_config.json, preprocessor_config.json) there"
        ) from error


def _processor_class(folder: Path) -> Any:
    """What the processor's own files name, else what goes with the network."""
    model_type = _read(folder / "config.json").get("model_type", "")
    named = (_read(folder / name).get("processor_class") for name in _NAMING)
    name = next(filter(None, named), PROCESSOR_MAPPING_NAMES.get(model_type))
    known: Any = getattr(transformers, name, None) if isinstance(name, str) else None
    if not hasattr(known, "get_attributes"):
        return transformers.AutoProcessor
    return _without_videos(known) if _VIDEO in known.get_attributes() else known


def _read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found if isinstance(found, dict) else {}


def _without_videos(known: Any) -> Any:
    """A processor's class that neither loads nor holds its part for videos."""
    whole = known.get_attributes()
    rest = [attribute for attribute in whole if attribute != _VIDEO]

    def from_parts(cls: Any, parts: Sequence[Any], settings: Mapping[str, Any], /, **options: Any) -> Any:
        given = dict(zip(rest, parts, strict=True))
        return super(made, cls).from_args_and_dict([given.get(name) for name in whole], settings, **options)

    members = {"get_attributes": classmethod(lambda cls: rest), "from_args_and_dict": classmethod(from_parts)}
    made: Any = type(known.__name__, (known,), members)
    return made
