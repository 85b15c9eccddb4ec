"""From a resolved system to what makes its outputs, on the machine that makes them.

Fetches checkpoints and loads models, or opens an endpoint. Called by the worker, and by the preview in
its own process. Imports torch when a model is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from halluc_ray.config import EndpointSystem, RecordedSystem, Store
from halluc_ray.models import numerics as numerics_of
from halluc_ray.models.checkpoint_cache import fetch_checkpoint
from halluc_ray.models.endpoint.generator import EndpointGenerator
from halluc_ray.models.execution import Failure, Generated, generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.networks import Networks
from halluc_ray.models.protocol import Encoded, Model
from halluc_ray.records import Sample
from halluc_ray.wiring.adapters import fetch_adapter
from halluc_ray.wiring.endpoints import open_endpoint
from halluc_ray.wiring.sources import adapter_source, checkpoint_source
from halluc_ray.wiring.systems import ResolvedSystem


class Generator:
    """A loaded model that turns samples into a generate part."""

    def __init__(self, model: Model, *, token_budget: int) -> None:
        self._model = model
        self._token_budget = token_budget

    def generate(self, samples: Sequence[Sample], failures: Sequence[Failure]) -> Generated:
        """Outputs of the samples beside the failed rows, and notes; see `models.execution`."""
        return generate(self._model, samples=samples, failures=failures, token_budget=self._token_budget)

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """What the model is fed for each sample and draw; see `Model.encode`."""
        return self._model.encode(samples)

    def close(self) -> None:
        """Free the device."""
        self._model.close()


def load_generator(
    resolved: ResolvedSystem, store: Store, *, bitwise: bool, networks: Networks | None = None
) -> Generator | EndpointGenerator:
    """Load a system's model on this machine, fetching its checkpoint once per node.

    Args:
        resolved: the system.
        store: how its checkpoint's store is reached.
        bitwise: refuse a machine that can't produce the planned bytes.
        networks: what this process holds of networks: a base that is there is not read again.

    Raises:
        NumericsMismatch: this machine can't produce the planned bytes.
        InputChanged: the checkpoint is not the planned one.
        ModelError: it can't be loaded.
        SpecError: an endpoint's key is not in the environment here.
    """
    system, checkpoint = resolved.spec, resolved.checkpoint
    if isinstance(system, EndpointSystem):
        return open_endpoint(system)
    if isinstance(system, RecordedSystem) or checkpoint is None:
        raise TypeError(f"{system.kind} loads no model")
    if bitwise:
        numerics_of.check(resolved.numerics)
    folder = checkpoint_folder(resolved, store)
    if networks is not None and resolved.scheduled:
        networks.close()  # a backend of its own wants the whole device
    model = load_model(
        system,
        folder=folder,
        numerics=resolved.numerics,
        labels=resolved.labels,
        threads=resolved.threads,
        digest=checkpoint.digest,
        adapter=fetch_adapter(system, store, resolved.adapter),
        networks=networks,
    )
    return Generator(model, token_budget=int(resolved.numerics["token_budget"]))


def checkpoint_folder(resolved: ResolvedSystem, store: Store) -> Path:
    """Folder on this machine that holds a system's checkpoint, fetched where it is not there.

    Raises:
        InputChanged: the checkpoint is not the planned one.
    """
    system, checkpoint = resolved.spec, resolved.checkpoint
    if isinstance(system, RecordedSystem | EndpointSystem) or checkpoint is None:
        raise TypeError(f"{system.kind} loads no model")
    return fetch_checkpoint(checkpoint_source(system, store), checkpoint.files, digest=checkpoint.digest)


def see_checkpoint(resolved: ResolvedSystem, store: Store) -> None:
    """Show that this machine sees the system's checkpoint and adapter, where it has them.

    Raises:
        SpecError, InputError, StoreError: it does not.
    """
    if not isinstance(resolved.spec, RecordedSystem | EndpointSystem):
        checkpoint_source(resolved.spec, store).files()
        if adapter := adapter_source(resolved.spec, store):
            adapter.files()
