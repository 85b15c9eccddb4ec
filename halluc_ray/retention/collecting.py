"""Garbage collection of a store: look, mark what nobody needs, free what was marked long enough ago.

One call does both: it marks what is new, and frees what an earlier call marked if it is still garbage. Two
calls at once do no harm, nor does one that is killed. The suites and the site are never touched. Knows how
the pieces go together; called by the command line.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from halluc_ray.engine.heartbeat import Owner, read_beat
from halluc_ray.errors import InputError, SpecError
from halluc_ray.retention.collected import Collected, Item, KeptRun, State
from halluc_ray.retention.contents import READERS, StageContents, list_stages, lost_attempts
from halluc_ray.retention.garbage import Garbage, Reason
from halluc_ray.retention.kept import Keeper, Needs, beating_stages, is_run_file
from halluc_ray.retention.marks import Judged, Marked, judge, mark, read_marks
from halluc_ray.retention.sweeping import Sweeper, points_to
from halluc_ray.storage import ObjectInfo, ObjectStore, keys
from halluc_ray.storage.condemned import forget_old

SHORT_S = 3600.0
"""A run may show no sign for so long, and an attempt may be on its way to its commit."""

_PROBE_S = 86_400.0
_SILENT_S = 300.0

OnProgress = Callable[[str, int, int], None]
"""Told what is done, how much of it, and how much there is."""


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a look at the whole store found; garbage is in no order that matters."""

    stages: Mapping[str, StageContents]
    needs: Needs
    garbage: Sequence[Garbage]
    probes: Sequence[ObjectInfo]


def collect(
    store: ObjectStore,
    *,
    keep_s: float,
    wait_s: float,
    nights_s: float | None = None,
    dry_run: bool = False,
    now: float | None = None,
    on_progress: OnProgress | None = None,
) -> Collected:
    """Mark what nobody needs, and free what was marked `wait_s` ago and still is garbage.

    Args:
        store: an output root.
        keep_s: runs stay for so long after their last sign, in seconds; at least an hour.
        wait_s: between mark and freeing, in seconds. Under an hour no driver may be at work in the store; 0
            frees at once.
        nights_s: a night keeps its runs for so long after its scheduled date, in seconds, and the last night of a
            suite however old; None: for good.
        dry_run: write nothing, and say what would be done.
        now: Unix seconds; default: the store's clock, and this machine's for a dry run.
        on_progress: told how far it is.

    Raises:
        SpecError: `keep_s` is too short.
        InputError: the store is no output root; a driver is at work and `wait_s` is too short for that.
        StoreError: the store refuses. What was freed stays so; the same call goes on.
    """
    tell = on_progress or (lambda what, done, total: None)
    if keep_s < SHORT_S:
        raise SpecError(f"runs are kept for an hour at least, not {keep_s:g} s: one may show no sign for that long")
    stages = list_stages(store, on_progress=lambda done, total: tell("listing", done, total))
    if not stages:
        _refuse_other_places(store)
    now = now if now is not None else (time.time() if dry_run else _clock_of(store))
    beating = beating_stages(store, stages.values(), now=now)
    if wait_s < SHORT_S:
        _refuse_drivers(store, stages, beating, now=now, wait_s=wait_s)
    keeper = Keeper(store, keep_s=keep_s, nights_s=nights_s, now=now, beating=beating)
    survey = _survey(store, stages, keeper.look(), now=now, quiet=not beating, tell=tell)
    judged = judge(survey.garbage, read_marks(store))
    ripe, waiting = _split(judged, survey, wait_s=wait_s, now=now)
    items = [Item.of(entry.garbage, State.WAITING, until=entry.made + wait_s) for entry in waiting]
    if wait_s:
        items += [Item.of(garbage, State.MARKED, until=now + wait_s) for garbage in judged.unmarked]
    if dry_run:
        items += [Item.of(entry.garbage, State.FREED) for entry in ripe]
    else:
        _tidy(store, judged, survey, now=now, wait_s=wait_s, tell=tell)
        items += _sweep(store, keeper, ripe, tell=tell)
    items += _of_probes(survey.probes)
    kept = list(_kept_runs(survey))
    return Collected(store.uri, dry_run, keep_s, wait_s, items, kept, len(stages), len(judged.stale))


def _survey(
    store: ObjectStore,
    stages: Mapping[str, StageContents],
    needs: Needs,
    *,
    now: float,
    quiet: bool,
    tell: OnProgress,
) -> _Survey:
    garbage = []
    for done, stage in enumerate(stages.values(), start=1):
        if stage.name in needs.stages:
            garbage += list(lost_attempts(store, stage))
        else:
            garbage.append(Garbage(Reason.STAGE, stage.name, tuple(stage.objects)))
        tell("looking", done, len(stages))
    garbage += list(_old_runs(store, needs))
    probes = store.list(keys.probe_key("")) if quiet else iter(())
    old = [info for info in probes if info.modified is not None and now - info.modified > _PROBE_S]
    return _Survey(stages, needs, garbage, old)


def _old_runs(store: ObjectStore, needs: Needs) -> Iterable[Garbage]:
    """Runs that are not kept, with the pointers of specs that lead to them."""
    old = {run_id: list(run.files) for run_id, run in needs.runs.items() if not run.why}
    if not old:
        return
    pointers = list(store.list(keys.spec_key("").removesuffix(".json")))
    with ThreadPoolExecutor(READERS) as pool:
        for info, run_id in zip(pointers, pool.map(lambda info: points_to(store, info), pointers), strict=True):
            if run_id in old:
                old[run_id].append(info)
    for run_id, objects in old.items():
        yield Garbage(Reason.RUN, run_id, tuple(objects))


def _split(judged: Judged, survey: _Survey, *, wait_s: float, now: float) -> tuple[list[Marked], list[Marked]]:
    """What may be freed now, and what must wait; a run waits for the stages that it named alone."""
    entries = list(judged.marked)
    if not wait_s:
        entries += [Marked(garbage, None, now) for garbage in judged.unmarked]
    old = [entry for entry in entries if now - entry.made >= wait_s]
    going = {entry.garbage.name for entry in old if entry.garbage.reason is Reason.STAGE}
    staying = survey.stages.keys() - survey.needs.stages - going
    ripe: list[Marked] = []
    waiting: list[Marked] = []
    for entry in entries:
        is_run = entry.garbage.reason is Reason.RUN
        held = is_run and bool(survey.needs.runs[entry.garbage.name].stages & staying)
        (waiting if held or now - entry.made < wait_s else ripe).append(entry)
    return ripe, waiting


def _tidy(store: ObjectStore, judged: Judged, survey: _Survey, *, now: float, wait_s: float, tell: OnProgress) -> None:
    """Take away what is stale of our own, and mark what is new."""
    forget_old(store, now=now)
    for key in [*judged.stale, *(info.key for info in survey.probes)]:
        store.delete(key)
    for done, garbage in enumerate(judged.unmarked if wait_s else (), start=1):
        mark(store, garbage)
        tell("marking", done, len(judged.unmarked))


def _sweep(store: ObjectStore, keeper: Keeper, ripe: Sequence[Marked], *, tell: OnProgress) -> list[Item]:
    total = sum(len(entry.garbage.objects) for entry in ripe)
    deleted = 0

    def count() -> None:
        nonlocal deleted
        deleted += 1
        tell("freeing", deleted, total)

    items = []
    for entry, freed in Sweeper(store, keeper=keeper, on_deleted=count).sweep(ripe):
        spared = not freed.objects
        items.append(Item.of(entry.garbage if spared else freed, State.SPARED if spared else State.FREED))
    return items


def _of_probes(probes: Sequence[ObjectInfo]) -> Iterable[Item]:
    if probes:
        yield Item.of(Garbage(Reason.PROBE, "probes", tuple(probes)), State.FREED)


def _kept_runs(survey: _Survey) -> Iterable[KeptRun]:
    for run in survey.needs.runs.values():
        if run.why:
            sizes = [info.size for name in run.stages & survey.stages.keys() for info in survey.stages[name].objects]
            yield KeptRun(run.run_id, tuple(run.why), len(run.stages), sum(sizes))


def _refuse_other_places(store: ObjectStore) -> None:
    """Raises InputError where nothing shows that this is, or was, an output root."""
    known = (info for prefix in ("suites/", "gc/", "runs/") for info in store.list(prefix))
    if not any(is_run_file(info.key) or not info.key.startswith("runs/") for info in known):
        raise InputError(
            f"{store.uri} is no output root: there is no stage and no run in it; name the `output` of a spec or suite"
        )


def _refuse_drivers(
    store: ObjectStore, stages: Mapping[str, StageContents], beating: Mapping[str, str], *, now: float, wait_s: float
) -> None:
    """Raises InputError where somebody works in the store, who may be about to commit what is not named yet."""
    for name in beating:
        info, beat = stages[name].heartbeat, read_beat(store, name)
        if info is None or beat is None or (info.modified is not None and now - info.modified > _SILENT_S):
            continue
        owner = Owner(**beat["owner"])
        if not owner.surely_dead:
            raise InputError(
                f"{store.uri}: process {owner.pid} on {owner.host} works on {name}; wait {wait_s:g} s is for a store "
                "in which nobody works: wait an hour at least"
            )


def _clock_of(store: ObjectStore) -> float:
    """Now, by the store's clock: a mark's age must not depend on this machine's."""
    key = keys.probe_key(secrets.token_hex(8))
    store.put(key, b"what time is it?")
    info = store.info(key)
    store.delete(key)
    return time.time() if info is None or info.modified is None else info.modified
