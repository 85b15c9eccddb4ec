"""What an adapter_config.json says, and which of it this version runs: plain LoRA and whole modules beside it.

Refused are other kinds of adapters, options that this version does not know, and those by which the
base's own weights change: they would leak into the next system on the same base. Knows the peft format;
does not run it, and imports no torch. Callers: `adapters` (plan), `networks` (which options reach peft).
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from halluc_ray.errors import InputError, SpecError
from halluc_ray.models.checkpoints import ADAPTER_CONFIG

_HARMLESS_STARTS = (None, True, False, "gaussian", "eva", "orthogonal")
_IDLE_KEYS = frozenset(
    [
        "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config",
        "inference_mode", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core", "peft_version",
        "qalora_group_size", "revision", "runtime_config", "task_type",
    ]
)  # fmt: skip


class AdapterConfig(BaseModel):
    """What decides what an adapter computes, by peft's names; nothing else reaches peft."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    r: int = Field(default=8, gt=0)
    lora_alpha: float = 8
    target_modules: list[str] | str | None = None
    exclude_modules: list[str] | str | None = None
    fan_in_fan_out: bool = False
    use_rslora: bool = False
    modules_to_save: list[str] | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None
    rank_pattern: dict[str, int] = Field(default_factory=dict)
    alpha_pattern: dict[str, float] = Field(default_factory=dict)
    lora_bias: bool = False


def read_adapter_config(data: bytes, *, where: str) -> AdapterConfig:
    """Parse an adapter_config.json.

    Args:
        data: the file's bytes.
        where: what names the adapter, for messages.

    Raises:
        InputError: it is no JSON object, or a value has another type than peft's.
        SpecError: it is no plain LoRA.
    """
    try:
        found = json.loads(data)
    except ValueError as error:
        raise InputError(f"{where}: {ADAPTER_CONFIG} is no JSON ({error}); copy the adapter again") from error
    if not isinstance(found, dict):
        raise InputError(
            f"{where}: {ADAPTER_CONFIG} holds a {type(found).__name__}, not an object; copy the adapter again"
        )
    _refuse_options(found, where=where)
    given = {key: value for key, value in found.items() if value is not None}
    try:
        return AdapterConfig.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{where}: {ADAPTER_CONFIG}: {at}: {json.dumps(first['input'])[:60]}: {first['msg']}; copy it again"
        ) from error


def _refuse_options(found: dict[str, Any], *, where: str) -> None:
    if found.get("peft_type") != "LORA":
        raise SpecError(f"{where} is of type {found.get('peft_type')!r}; LORA is what this version runs: merge it")
    bias = found.get("bias") or "none"
    if bias != "none":
        raise SpecError(
            f"{where} has bias: {bias!r}, so it changes the base's own biases, and the base is shared; merge it into "
            "a checkpoint"
        )
    start = found.get("init_lora_weights")
    if start not in _HARMLESS_STARTS:
        raise SpecError(
            f"{where} has init_lora_weights: {start!r}, so it fits a base whose weights were changed with it; merge "
            "it into a checkpoint"
        )
    known = {*AdapterConfig.model_fields, *_IDLE_KEYS, "peft_type", "bias", "init_lora_weights"}
    strange = sorted(key for key, value in found.items() if value and key not in known)
    if strange:
        raise SpecError(
            f"{where} has {', '.join(f'{key}: {json.dumps(found[key])[:60]}' for key in strange[:3])}, which this "
            "version does not run; merge it into a checkpoint"
        )
