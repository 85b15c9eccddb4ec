"""A night's gate: its verdict for the record, and its files beside the history.

The record decides. The files are written once it stands, from the baseline that it names, so that a
command that died in between is made good by the next. Called by `nightly`.
"""

from __future__ import annotations

from dataclasses import dataclass

from halluc_ray.config import digest
from halluc_ray.errors import InputError, ObjectMissing, RunIncomplete, SpecError
from halluc_ray.evaluation.reading import read_text
from halluc_ray.evaluation.runs import RunFolder
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.gate import gate
from halluc_ray.suites.gate_files import gate_files
from halluc_ray.suites.nights import Night, NightBaseline, NightGate
from halluc_ray.suites.policy import GatePolicy, load_policy
from halluc_ray.suites.suite import Suite
from halluc_ray.suites.verdicts import GateResult

GATE_FILES = ("gate.json", "gate.xml", "gate.md")


def policy_of(suite: Suite) -> GatePolicy | None:
    """The suite's policy, read from its file where it names one.

    Raises:
        SpecError: the file is no policy.
    """
    if isinstance(suite.gate, str):
        return load_policy(read_text(suite.gate, what="policy"), source=suite.gate)
    return suite.gate


@dataclass(frozen=True, slots=True)
class Gated:
    """A night's gate.

    Attributes:
        entry: for the record.
        result: what gate.json says.
        trouble: why the baseline could not be used; empty where it was, or there is none.
    """

    entry: NightGate
    result: GateResult
    trouble: str = ""


def gate_night(store: ObjectStore, run_id: str, *, baseline: NightBaseline | None, policy: GatePolicy) -> Gated:
    """Hold a finished run against its baseline.

    A baseline that can't be paired any more (its corpus or its commits are gone) keeps no night from its
    record: increases are then INCONCLUSIVE, and the night after has a baseline again.

    Raises:
        SpecError: the policy names what the run does not have.
    """
    run, trouble, before = RunFolder(store, run_id), "", ""
    try:
        result = gate(run, policy=policy, baseline=RunFolder(store, baseline.run_id) if baseline else None)
    except (SpecError, InputError, RunIncomplete) as error:
        if baseline is None:
            raise
        result = gate(run, policy=policy)
        trouble = f"the baseline {baseline.run_id} ({baseline.found_by}) can't be used: {error}"
        before = f"the baseline {baseline.run_id} can't be used; "
    entry = NightGate(verdict=result.verdict, reason=before + result.reason, policy=_digest(policy))
    return Gated(entry, result, trouble)


def keep_gate(store: ObjectStore, night: Night, *, policy: GatePolicy | None, gated: Gated | None) -> None:
    """Write the files of the gate that the record tells of, unless they are there.

    Args:
        store: of the suite.
        night: the record that stands.
        policy: the suite's; where it is no longer the record's, nothing is written.
        gated: this command's gate, used where it is the record's.
    """
    if night.gate is None or policy is None or night.gate.policy != _digest(policy):
        return
    missing = [name for name in GATE_FILES if store.info(keys.gate_key(night.suite, night.name, name)) is None]
    if not missing:
        return
    if gated is None or gated.entry != night.gate:
        gated = gate_night(store, night.run_id, baseline=night.baseline, policy=policy)
    files = gate_files(gated.result)
    for name in missing:
        store.put_new(keys.gate_key(night.suite, night.name, name), files[name])


def read_gate(store: ObjectStore, night: Night) -> dict[str, bytes]:
    """The files of a night's gate, by name; those that are not there are left out."""
    found = {}
    for name in GATE_FILES if night.gate else ():
        try:
            found[name] = store.read(keys.gate_key(night.suite, night.name, name))
        except ObjectMissing:
            continue
    return found


def _digest(policy: GatePolicy) -> str:
    return digest(policy.model_dump(mode="json", exclude_defaults=True), length=16)
