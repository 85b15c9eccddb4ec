"""From a system's section and a local folder to a loaded model: the one `match` on model kinds.

Sets up the process (threads, no hub) before transformers is imported. Caller: wiring, inside an
actor, after `numerics.check` where the run is bitwise. Imports torch, lazily.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, assert_never

from halluc_ray.config import (
    CausalSystem,
    CheckpointSystem,
    ChoicesSystem,
    ClassifierSystem,
    DualEncoderSystem,
    EmbedderSystem,
    ImageTextSystem,
    Seq2SeqSystem,
)
from halluc_ray.models.networks import LocalAdapter, Networks
from halluc_ray.models.protocol import Model


def load_model(
    system: CheckpointSystem,
    *,
    folder: Path,
    numerics: Mapping[str, str | int],
    labels: Mapping[str, str],
    threads: int,
    digest: str = "",
    adapter: LocalAdapter | None = None,
    networks: Networks | None = None,
) -> Model:
    """Load a model as the plan says.

    Args:
        system: the system's section of the spec.
        folder: a local checkpoint.
        numerics: from `numerics.resolve`.
        labels: name of each class of a classifier, by its id as text; empty for others.
        threads: that this process may use.
        digest: of the checkpoint; by it `networks` knows what it holds.
        adapter: what the network is to wear.
        networks: what this process holds; a model ends when the next is loaded from it. None: hold nothing.

    Raises:
        ModelError: the checkpoint can't be loaded, or the adapter does not fit it.
        SpecError: the system's options don't fit the checkpoint.
    """
    _settle_process(threads)
    device, dtype, attention = (str(numerics[field]) for field in ("device", "dtype", "attention"))

    if isinstance(system, CausalSystem) and system.backend == "vllm":
        from halluc_ray.models.vllm_backend import VllmLM

        return VllmLM(system, folder=folder, dtype=dtype)
    network = (networks or Networks()).lend(
        system.kind, folder, digest=digest, adapter=adapter, dtype=dtype, attention=attention, device=device
    )
    return _model_around(network, system, folder=folder, device=device, labels=labels, numerics=numerics)


def _model_around(
    network: Any,
    system: CheckpointSystem,
    *,
    folder: Path,
    device: str,
    labels: Mapping[str, str],
    numerics: Mapping[str, str | int],
) -> Model:
    """The model of the system's kind over a loaded network."""
    match system:
        case ClassifierSystem():
            from halluc_ray.models.encoder import Encoder

            return Encoder(system, folder=folder, labels=labels, network=network, device=device)
        case CausalSystem():
            from halluc_ray.models.causal import CausalLM

            return CausalLM(system, folder=folder, network=network, device=device)
        case Seq2SeqSystem():
            from halluc_ray.models.seq2seq import Seq2SeqLM

            return Seq2SeqLM(system, folder=folder, network=network, device=device)
        case ChoicesSystem():
            from halluc_ray.models.choices import ChoiceRater

            budget = int(numerics["token_budget"])
            return ChoiceRater(system, folder=folder, network=network, device=device, token_budget=budget)
        case ImageTextSystem():
            from halluc_ray.models.image_text import ImageTextLM

            return ImageTextLM(system, folder=folder, network=network, device=device)
        case DualEncoderSystem():
            from halluc_ray.models.dual_encoder import DualEncoder

            return DualEncoder(system, folder=folder, network=network, device=device)
        case EmbedderSystem():
            from halluc_ray.models.embedder import Embedder

            return Embedder(system, folder=folder, network=network, device=device)
        case _:
            assert_never(system)


def _settle_process(threads: int) -> None:
    """No hub, and as many threads as the plan says, before transformers and torch read their settings."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
