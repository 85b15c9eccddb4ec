"""The start of a run, in an order that garbage collection can't slip into.

First the run shows itself in the store, then it waits until nothing of it is about to be freed; only then
may anybody look at what is committed: what is found there stays for as long as the run is kept. Called by
`running`.
"""

from __future__ import annotations

from collections.abc import Callable

from halluc_ray.config.load import spec_digest
from halluc_ray.engine.plan import Plan
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.storage import keys
from halluc_ray.storage.condemned import wait_until_free


def begin(run: RunFolder, plan: Plan, *, say: Callable[[str], None]) -> None:
    """Show a run in its store, and return when what is committed there may be relied on.

    Args:
        run: of the plan.
        plan: the plan.
        say: told what is waited for.

    Raises:
        StoreError: the store refuses.
    """
    names = {stage.name for system in plan.context.systems for stage in system.stages}
    names |= {run.run_id, spec_digest(plan.context.spec)}
    run.begin(plan)
    while wait_until_free(run.store, names, say=say) or not _is_shown(run, plan):
        run.begin(plan)


def _is_shown(run: RunFolder, plan: Plan) -> bool:
    """What `RunFolder.begin` wrote, or found there, was not freed together with an older folder of this run."""
    shown = [keys.run_key(run.run_id, name) for name in ("run.json", "telemetry.json")]
    return all(run.store.info(key) for key in [*shown, keys.spec_key(spec_digest(plan.context.spec))])
