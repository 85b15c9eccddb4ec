"""A night's gate: its verdict for the record, and its files beside the history.

The record decides. The files are written once it stands, from the baseline that it names, so that a
command that died in between is made good by the next. Called by `nightly`.
"""

from __future__ import annotations

from halluc_ray.config import digest
from halluc_ray.errors import ObjectMissing
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
        return load_policy(read_text(suite.gate), source=suite.gate)
    return suite.gate


def gate_night(
    store: ObjectStore, run_id: str, *, baseline: NightBaseline | None, policy: GatePolicy
) -> tuple[NightGate, GateResult]:
    """Hold a run against its baseline.

    Raises:
        SpecError: the policy names what the run does not have; runs that can't be paired.
    """
    held = RunFolder(store, baseline.run_id) if baseline else None
    result = gate(RunFolder(store, run_id), policy=policy, baseline=held)
    return NightGate(verdict=result.verdict, reason=result.reason, policy=_digest(policy)), result


def keep_gate(store: ObjectStore, night: Night, *, policy: GatePolicy | None, result: GateResult | None) -> None:
    """Write the files of the gate that the record tells of, unless they are there.

    Args:
        store: of the suite.
        night: the record that stands.
        policy: the suite's; where it is no longer the record's, nothing is written.
        result: this command's gate, used where it is the record's.
    """
    if night.gate is None or policy is None or night.gate.policy != _digest(policy):
        return
    missing = [name for name in GATE_FILES if store.info(keys.gate_key(night.suite, night.name, name)) is None]
    if not missing:
        return
    baseline = night.baseline.run_id if night.baseline else None
    if result is None or result.baseline != baseline:
        _, result = gate_night(store, night.run_id, baseline=night.baseline, policy=policy)
    files = gate_files(result)
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
