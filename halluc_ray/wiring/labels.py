"""The classes of a classifier: their names, and the heads that have none to speak of.

Knows config.json; loads nothing. Called by `systems`, at plan time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from halluc_ray.config import CheckpointSystem, ClassifierSystem
from halluc_ray.errors import InputError, SpecError
from halluc_ray.models.checkpoints import Checkpoint, label_names


def labels_of(system: CheckpointSystem, checkpoint: Checkpoint) -> dict[str, str]:
    """Label id as text -> name, of a classifier; empty for other systems.

    Args:
        system: its `labels` come before the checkpoint's own.
        checkpoint: what it runs.

    Raises:
        InputError: the checkpoint's head does not choose one class of several.
        SpecError: `labels` names other classes than the checkpoint's.
    """
    if not isinstance(system, ClassifierSystem):
        return {}
    where = f"systems[{system.name}]"
    known = label_names(checkpoint.config)
    _refuse_other_heads(checkpoint.config, known, where=f"{where}.checkpoint: {checkpoint.uri}")
    if set(known) != set(range(len(known))):
        raise InputError(
            f"{where}.checkpoint: {checkpoint.uri} has the classes {sorted(known)}; "
            "a classifier needs two or more, counted from 0: name another checkpoint"
        )
    if system.labels and set(system.labels) != set(known):
        raise SpecError(
            f"{where}.labels: names the ids {sorted(system.labels)}, "
            f"the checkpoint has {sorted(known)}; name each of them once"
        )
    return {str(key): name for key, name in sorted((system.labels or known).items())}


def _refuse_other_heads(config: Mapping[str, Any], known: dict[int, str], *, where: str) -> None:
    problem = config.get("problem_type")
    if problem == "multi_label_classification":
        raise InputError(
            f"{where} has problem_type {problem}: each of its {len(known)} labels is a yes or no of its own, and a row "
            "has one answer here; name a checkpoint that was fine-tuned to choose one label"
        )
    if problem == "regression" or len(known) < 2:
        raise InputError(
            f"{where} has a head of {len(known)} output{'s' * (len(known) != 1)}"
            f"{' and problem_type regression' if problem == 'regression' else ''}: its answer is a number, no label; "
            "name a checkpoint with two or more classes"
        )
