"""What a checkpoint is: which files matter, what they weigh, and the digest that names them.

Safetensors only, and no code: a checkpoint with pickled weights, or one that needs remote code, is
refused before anything runs. The digest covers names and bytes of the files that matter, so the
same checkpoint in a folder, in a bucket or from the hub is the same checkpoint. Does not load
models and imports no torch. Callers: wiring at plan time, `adapters`, `conversion`.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from halluc_ray.config import digest
from halluc_ray.errors import InputError
from halluc_ray.models.checkpoint_cache import file_digests
from halluc_ray.models.checkpoint_sources import POOLING, Source, SourceFile
from halluc_ray.models.quantisation import count_weights, quantisation_of
from halluc_ray.models.safetensors_headers import StoredTensor, read_header

CONFIG = "config.json"
ADAPTER_CONFIG = "adapter_config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"
_SIDE_FILES = frozenset(
    [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "vocab.txt",
        "merges.txt",
        "chat_template.jinja",
        "chat_template.json",
        "source.spm",
        "target.spm",
        "target_vocab.json",
        "preprocessor_config.json",
        "processor_config.json",
        "modules.json",
        "sentence_bert_config.json",
        POOLING,
    ]
)
_OTHER_WEIGHTS = frozenset([".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".gguf", ".h5", ".msgpack", ".onnx"])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that may be run.

    Attributes:
        uri: where it was found.
        digest: 64 hex digits over names and bytes of `files`.
        files: relative name -> sha256, for the files that matter.
        config: the parsed config.json.
        num_parameters: weights, counted from the safetensors headers; packed ones count each.
    """

    uri: str
    digest: str
    files: Mapping[str, str]
    config: Mapping[str, Any]
    num_parameters: int


def inspect_checkpoint(source: Source, *, cache: Path | None = None) -> Checkpoint:
    """Read a checkpoint's config and headers, check them, and digest its files.

    Args:
        source: from `open_source`.
        cache: root of the cache of digests; default: `config.cache.cache_folder()`.

    Raises:
        InputError: no config.json, no safetensors, a cut or missing weight file, or remote code.
    """
    listed = source.files()
    files = checkpoint_files(source, listed)
    config = _read_json(source, files[CONFIG])
    for name in (CONFIG, "tokenizer_config.json"):
        if name in files:
            _refuse_remote_code(source.uri, name, _read_json(source, files[name]), config)
    weights = [file for name, file in files.items() if name.endswith(".safetensors")]
    quantisation = quantisation_of(config)
    num_parameters = sum(count_weights(read_header(source, file), quantisation) for file in weights)
    digests = file_digests(source, list(files.values()), cache=cache)
    return Checkpoint(source.uri, checkpoint_digest(digests), digests, config, num_parameters)


def stored_tensors(source: Source) -> dict[str, StoredTensor]:
    """Every tensor of a checkpoint by name, from the headers of its files.

    Raises:
        InputError: there are no usable weights.
    """
    files = checkpoint_files(source)
    weights = [file for name, file in files.items() if name.endswith(".safetensors")]
    return {name: tensor for file in weights for name, tensor in read_header(source, file).items()}


def checkpoint_digest(files: Mapping[str, str]) -> str:
    """64 hex digits over relative names and sha256 of bytes.

    >>> checkpoint_digest({"a": "1", "b": "2"}) == checkpoint_digest({"b": "2", "a": "1"})
    True
    """
    return digest(dict(files), length=64)


def checkpoint_files(source: Source, listed: Sequence[SourceFile] | None = None) -> dict[str, SourceFile]:
    """The files that matter, by name: config, tokenizer, and the safetensors that the index names.

    Raises:
        InputError: the place holds no config or no usable weights.
    """
    by_name = {file.name: file for file in (source.files() if listed is None else listed)}
    if ADAPTER_CONFIG in by_name:
        raise InputError(
            f"checkpoint {source.uri}: it holds {ADAPTER_CONFIG}; name an adapter's folder as the system's adapter, "
            "and as checkpoint the base in a folder of its own"
        )
    if CONFIG not in by_name:
        held = ", ".join(sorted(by_name)[:8]) or "nothing"
        raise InputError(f"checkpoint {source.uri}: no {CONFIG} there (it holds {held}); name the folder that holds it")
    weights = _weight_files(source, by_name)
    names = sorted({name for name in by_name if name in _SIDE_FILES or name.endswith(".model")} | set(weights))
    return {name: by_name[name] for name in names}


def label_names(config: Mapping[str, Any]) -> dict[int, str]:
    """Name of each class of a classifier, as transformers would say it; a config leaves out the default pair.

    >>> label_names({})
    {0: 'LABEL_0', 1: 'LABEL_1'}
    """
    named = config.get("id2label") or {index: f"LABEL_{index}" for index in range(config.get("num_labels") or 2)}
    return {int(index): str(name) for index, name in named.items()}


def _weight_files(source: Source, by_name: Mapping[str, SourceFile]) -> list[str]:
    if WEIGHTS in by_name:  # what transformers reads where an index lies beside it
        return [WEIGHTS]
    if INDEX in by_name:
        index = _read_json(source, by_name[INDEX])
        shards = sorted(set(index.get("weight_map", {}).values()))
        missing = [name for name in shards if name not in by_name]
        if missing or not shards:
            raise InputError(f"checkpoint {source.uri}: {INDEX} names {missing or 'no file'}, not there; copy it whole")
        return [INDEX, *shards]
    others = sorted(name for name in by_name if PurePosixPath(name).suffix in _OTHER_WEIGHTS)
    raise InputError(
        f"checkpoint {source.uri}: no {WEIGHTS} there"
        + (f", only {', '.join(others[:4])}" if others else "")
        + f"; weights are read from safetensors alone: `halluc-ray convert {source.uri} OUT` makes them of .bin files"
    )


def _refuse_remote_code(uri: str, name: str, found: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if "auto_map" in found and not _is_native(str(config.get("model_type", ""))):
        raise InputError(
            f"checkpoint {uri}: {name} has auto_map {json.dumps(found['auto_map'])}, so model_type "
            f"{config.get('model_type')!r} needs code from the checkpoint, which is never run; "
            "use a checkpoint of an architecture that transformers ships"
        )


def _is_native(model_type: str) -> bool:
    """Whether the installed transformers ships the architecture; looks for its folder, imports nothing."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None or not model_type.isprintable():
        return False
    folder = model_type.replace("-", "_").replace(".", "_")
    return folder.isidentifier() and (Path(spec.origin).parent / "models" / folder).is_dir()


def _read_json(source: Source, file: SourceFile) -> dict[str, Any]:
    try:
        value = json.loads(b"".join(source.chunks(file)))
    except ValueError as error:
        raise InputError(
            f"checkpoint {source.uri}: {file.name} is no JSON ({error}); copy the checkpoint again"
        ) from error
    if not isinstance(value, dict):
        raise InputError(f"checkpoint {source.uri}: {file.name} holds a {type(value).__name__}, not an object")
    return value
