"""From a system's `adapter` key to an adapter that was checked, and to its folder on this machine.

Holds it against its base at the plan; what an adapter is, `models.adapters` knows. Callers: `systems`,
at the plan, and `generators`, inside actors.
"""

from __future__ import annotations

from halluc_ray.config import CheckpointSystem, Store
from halluc_ray.models.adapters import Adapter, inspect_adapter
from halluc_ray.models.checkpoint_cache import fetch_checkpoint
from halluc_ray.models.checkpoint_sources import Source
from halluc_ray.models.checkpoints import Checkpoint, stored_tensors
from halluc_ray.models.networks import LocalAdapter
from halluc_ray.models.quantisation import package_versions, quantisation_of
from halluc_ray.wiring.sources import adapter_source


def find_adapter(system: CheckpointSystem, store: Store, *, base: Source, checkpoint: Checkpoint) -> Adapter | None:
    """The system's adapter, held against its base; None where it has none.

    Args:
        system: a system that runs a checkpoint.
        store: how an adapter in a bucket is reached.
        base: where the checkpoint lies.
        checkpoint: the checkpoint.

    Raises:
        SpecError, InputError: it can't be run, does not fit, or has no effect.
    """
    source = adapter_source(system, store)
    if source is None:
        return None
    where = f"systems[{system.name}].adapter"
    tensors = stored_tensors(base)
    quantisation = quantisation_of(checkpoint.config)
    return inspect_adapter(source, base=tensors, quantisation=quantisation, where=where)


def fetch_adapter(system: CheckpointSystem, store: Store, adapter: Adapter | None) -> LocalAdapter | None:
    """The planned adapter in a folder of this machine.

    Raises:
        InputChanged: its files are no longer the planned ones.
    """
    source = adapter_source(system, store)
    if adapter is None or source is None:
        return None
    folder = fetch_checkpoint(source, adapter.files, digest=adapter.digest)
    return LocalAdapter(folder, adapter.digest, adapter.new_weights)


def adapter_numerics(adapter: Adapter | None) -> dict[str, str | int]:
    """What runs it fixes its bytes."""
    return {f"package:{name}": version for name, version in package_versions(["peft"] if adapter else []).items()}
