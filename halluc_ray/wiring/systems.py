"""From the spec's systems to what a plan freezes of them: checkpoint, adapter, numerics, labels, settings.

Loads no model and imports no torch: the driver does it. Called by the plan; what it gives travels to the
actors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halluc_ray.config import EmbedderSystem, EndpointSystem, RecordedSystem, RunSpec, System
from halluc_ray.config.prompting import Decoding
from halluc_ray.config.systems import PromptSection
from halluc_ray.models import numerics as numerics_of
from halluc_ray.models import prompts
from halluc_ray.models.adapters import Adapter
from halluc_ray.models.checkpoints import Checkpoint, inspect_checkpoint
from halluc_ray.models.devices import Device
from halluc_ray.models.endpoint.pace import longest_s_per_row
from halluc_ray.models.endpoint.requests import RequestWriter, request_url
from halluc_ray.models.kinds import KINDS, refuse_other_kind
from halluc_ray.models.sentence_transformers import read_pooling
from halluc_ray.models.versions import SEMANTICS_VERSIONS
from halluc_ray.wiring.adapters import adapter_numerics, find_adapter
from halluc_ray.wiring.endpoints import NOT_ASKED
from halluc_ray.wiring.inputs import gives, inputs_of
from halluc_ray.wiring.labels import labels_of
from halluc_ray.wiring.prompting import check_prompt, settle_prompt
from halluc_ray.wiring.sources import checkpoint_source

_NOT_GENERATED = ("name", "kind", "checkpoint", "adapter", "revision", "dtype", "labels", *NOT_ASKED)


@dataclass(frozen=True, slots=True)
class ResolvedSystem:
    """A system with everything that its outputs depend on.

    Attributes:
        spec: its section, with what is left open settled: the template, and shots read from their file.
        roles: corpus roles that it reads.
        columns: corpus columns that its placeholders name, sorted.
        gives: what indicators may read of its outputs.
        settings: what the generate digest covers of the spec, defaults left out.
        semantics_version: of the runner.
        numerics: frozen floating point; empty for recorded answers.
        labels: label id as text -> label name, for classifiers.
        checkpoint: what is run; None for recorded answers.
        threads: of the process that runs it.
        adapter: what the checkpoint's network wears; None for the base as it is.
    """

    spec: System
    roles: frozenset[str]
    columns: tuple[str, ...]
    gives: frozenset[str]
    settings: Mapping[str, Any]
    semantics_version: int
    numerics: Mapping[str, str | int]
    labels: Mapping[str, str]
    checkpoint: Checkpoint | None
    threads: int
    adapter: Adapter | None = None

    @property
    def base(self) -> str:
        """Names the network that an actor holds for it, whatever it wears; empty where it holds none."""
        if self.checkpoint is None or self.scheduled:
            return ""
        return f"{KINDS[self.spec.kind].network} {self.checkpoint.digest} {self.numerics['dtype']}"

    @property
    def scheduled(self) -> bool:
        """Two runs of it may differ in what they say, whatever the spec asks for."""
        return isinstance(self.spec, EndpointSystem) or getattr(self.spec, "backend", "transformers") != "transformers"

    @property
    def alone_s_per_row(self) -> float | None:
        """Seconds within which a row is done, where one actor at a time may make the outputs; None: any number may."""
        return longest_s_per_row(self.spec) if isinstance(self.spec, EndpointSystem) else None

    @property
    def name_from(self) -> str | None:
        """The column that names the systems of recorded answers."""
        return self.spec.name_from if isinstance(self.spec, RecordedSystem) else None


def resolve_system(system: System, spec: RunSpec, *, device: Device, accelerator: str | None) -> ResolvedSystem:
    """Find the checkpoint and freeze the numerics.

    Args:
        system: one of the spec's systems.
        spec: the run.
        device: what actors run on.
        accelerator: Ray's name of the GPU type, where there is one.

    Raises:
        InputError: the checkpoint can't be read, or is refused.
        SpecError: a template names no role, or a checkpoint is no place.
    """
    where = f"systems[{system.name}]"
    inputs = inputs_of(system, spec.corpus.columns, where=where)
    system = settle_prompt(system, spec.corpus.columns, store=spec.store, where=where)
    checkpoint, adapter, labels, numerics, settings = None, None, {}, {}, _settings(system)
    match system:
        case RecordedSystem():
            pass
        case EndpointSystem():
            request_url(system, RequestWriter(system).path)
        case _:
            source = checkpoint_source(system, spec.store)
            checkpoint = inspect_checkpoint(source)
            refuse_other_kind(system, checkpoint.config, where=where)
            check_prompt(system, source, checkpoint.config, where=where)
            if isinstance(system, EmbedderSystem):
                read_pooling(system, source)
            numerics = numerics_of.resolve(
                system,
                engine=spec.engine,
                device=device,
                config=checkpoint.config,
                num_parameters=checkpoint.num_parameters,
                accelerator=accelerator,
            )
            adapter = find_adapter(system, spec.store, base=source, checkpoint=checkpoint)
            numerics |= adapter_numerics(adapter)
            labels = labels_of(system, checkpoint)
            settings |= ({"labels": labels} if labels else {}) | {"checkpoint": checkpoint.digest}
            settings |= {"adapter": adapter.digest} if adapter else {}
    return ResolvedSystem(
        spec=system,
        roles=inputs.roles,
        columns=tuple(sorted(inputs.columns)),
        gives=gives(system),
        settings=settings,
        semantics_version=SEMANTICS_VERSIONS[system.kind],
        numerics=numerics,
        labels=labels,
        checkpoint=checkpoint,
        threads=spec.engine.cpus_per_actor,
        adapter=adapter,
    )


def _settings(system: System) -> dict[str, Any]:
    """What outputs depend on of a settled section: greedy decoding reads no seed, the usual template goes unsaid."""
    if isinstance(system, RecordedSystem):
        return {"name_from": system.name_from} if system.name_from else {}
    updates: dict[str, Any] = {}
    decoding = getattr(system, "decoding", None)
    if decoding is not None and decoding.temperature == 0:
        updates["decoding"] = decoding.model_copy(update={"seed": Decoding.model_fields["seed"].default})
    if isinstance(system, PromptSection) and system.template == prompts.PROMPT:
        updates["template"] = None
    section = system.model_copy(update=updates)
    return section.model_dump(mode="json", exclude_defaults=True, exclude=set(_NOT_GENERATED))
