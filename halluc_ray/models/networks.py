"""The one network that a process holds, and the LoRA adapters over it.

A base is read once; systems that share it, of one kind or of two with one class of network, wear
their own adapter or none, in turn. What one system leaves behind (an active adapter, generation
settings) is taken off before the next is served. Knows peft; knows no system and no batch. Callers:
the worker keeps one, `loading` asks it. Imports torch and peft where they are needed, so that holding
none costs nothing.
"""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halluc_ray.errors import ModelError
from halluc_ray.models.adapter_config import read_adapter_config
from halluc_ray.models.adapters import WEIGHTS
from halluc_ray.models.checkpoints import ADAPTER_CONFIG
from halluc_ray.models.kinds import KINDS

MAX_ADAPTERS = 8
"""Adapters held over one base; the one that was worn longest ago goes first."""

_NAME_DIGITS = 16
_ATTACH_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class LocalAdapter:
    """An adapter on this machine.

    Attributes:
        folder: holds it.
        digest: its digest.
        new_weights: tensors that it brings and its base lacks.
    """

    folder: Path
    digest: str
    new_weights: tuple[str, ...] = ()


class Networks:
    """Holds at most one base.

    Args:
        max_adapters: how many adapters stay over it.

    Attributes:
        num_loads: bases read so far.
    """

    def __init__(self, *, max_adapters: int = MAX_ADAPTERS) -> None:
        self.num_loads = 0
        self._max_adapters = max_adapters
        self._held: tuple[object, ...] | None = None
        self._network: Any = None
        self._generation_config: Any = None
        self._wrapper: Any = None
        self._worn: OrderedDict[str, None] = OrderedDict()

    def lend(
        self,
        kind: str,
        folder: Path,
        *,
        digest: str,
        adapter: LocalAdapter | None,
        dtype: str,
        attention: str,
        device: str,
    ) -> Any:
        """A network that wears the adapter, or none; valid until the next call.

        Args:
            kind: the system's kind.
            folder: holds the checkpoint.
            digest: of the checkpoint: what is held is lent again where it is the same.
            adapter: what the network is to wear.
            dtype: such as `float32`; adapters compute in it too.
            attention: implementation of attention.
            device: `cpu` or `cuda`.

        Raises:
            ModelError: the checkpoint can't be loaded, or the adapter does not fit it.
        """
        from halluc_ray.models.pretrained import load_network

        brought = adapter.new_weights if adapter else ()
        wanted = (KINDS[kind].network, digest, brought, dtype, attention, device)
        if self._held != wanted:
            self.close()
            self._network = load_network(kind, folder, dtype=dtype, attention=attention, device=device, brought=brought)
            self._generation_config = copy.deepcopy(getattr(self._network, "generation_config", None))
            self._held = wanted
            self.num_loads += 1
        if self._generation_config is not None:
            self._network.generation_config = copy.deepcopy(self._generation_config)
        if adapter is None:
            self._undress()
        elif not self._wear(adapter, folder):
            return self.lend(
                kind, folder, digest=digest, adapter=adapter, dtype=dtype, attention=attention, device=device
            )
        return self._network.eval()

    def close(self) -> None:
        """Let go of the base and its adapters."""
        if self._network is None:
            return
        import torch

        self._held = self._network = self._wrapper = self._generation_config = None
        self._worn.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _undress(self) -> None:
        if self._wrapper is not None:
            self._wrapper.base_model.disable_adapter_layers()

    def _wear(self, adapter: LocalAdapter, base: Path) -> bool:
        """Whether it is worn now; where it finds no place beside those that are held, nothing is held any more.

        peft puts no LoRA layer over a module that another adapter brings whole, nor the other way round.
        """
        name = adapter.digest[:_NAME_DIGITS]
        if name not in self._worn:
            try:
                self._attach(name, adapter.folder)
            except _ATTACH_ERRORS as error:
                is_alone = not self._worn
                self.close()
                if not is_alone:
                    return False
                raise ModelError(
                    f"adapter {adapter.folder}: can't be put on {base} ({error}); name the base that it was trained "
                    "on, or merge it into a checkpoint"
                ) from error
        self._worn[name] = None
        self._worn.move_to_end(name)
        self._wrapper.set_adapter(name, inference_mode=True)
        self._wrapper.base_model.enable_adapter_layers()
        while len(self._worn) > self._max_adapters:
            oldest, _ = self._worn.popitem(last=False)
            self._wrapper.delete_adapter(oldest)
        return True

    def _attach(self, name: str, folder: Path) -> None:
        """Put an adapter over the base; raises ValueError where not each of its tensors finds its place."""
        from peft import LoraConfig, PeftModel, set_peft_model_state_dict
        from safetensors.torch import load_file

        found = read_adapter_config((folder / ADAPTER_CONFIG).read_bytes(), where=f"adapter {folder}")
        config = LoraConfig(**found.model_dump(exclude_unset=True), inference_mode=True, lora_dropout=0.0)
        if self._wrapper is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # peft's, about a name of transformers'
                self._wrapper = PeftModel(self._network, config, adapter_name=name, autocast_adapter_dtype=False)
        else:
            self._wrapper.add_adapter(name, config, autocast_adapter_dtype=False)
        result = set_peft_model_state_dict(self._wrapper, load_file(folder / WEIGHTS), adapter_name=name)
        missing = [key for key in result.missing_keys if f".{name}." in f"{key}."]
        if result.unexpected_keys or missing:
            raise ValueError(
                f"no place for {sorted(result.unexpected_keys)[:3]}, nothing for {sorted(missing)[:3]}: target_modules "
                "and weights disagree"
            )
