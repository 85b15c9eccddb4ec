"""The files of one run that tie it to the world: which spec, which sources, which machines.

`run.json` and the reports are reproducible; what is not (paths, times, actors) goes to
`telemetry.json`. Called by running and looking.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from pydantic import ValidationError

from halluc_ray.config import RunSpec, canonical_json
from halluc_ray.config.load import spec_digest
from halluc_ray.engine.plan import Plan
from halluc_ray.errors import InputError, ObjectMissing, StoreError
from halluc_ray.records.runs import RunRecord
from halluc_ray.reports import Report
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.storage.files import CorpusFile, verify_unchanged

_LIBRARIES = ("halluc-ray", "ray", "torch", "transformers", "tokenizers", "pyarrow", "numpy", "duckdb")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run's folder in its store."""

    store: ObjectStore
    run_id: str

    @property
    def uri(self) -> str:
        """Where it lies."""
        return f"{self.store.uri.rstrip('/')}/{keys.run_key(self.run_id, '')}".rstrip("/")

    def begin(self, plan: Plan) -> None:
        """Write `run.json`, point the spec at the run, and note where the corpus was found."""
        spec = plan.context.spec
        record = canonical_json(plan.record.model_dump(mode="json")).encode()
        self.store.put_new(keys.run_key(self.run_id, "run.json"), record)
        self.store.put(keys.spec_key(spec_digest(spec)), canonical_json({"run_id": self.run_id}).encode())
        self._note(
            {
                "spec": spec.model_dump(mode="json", exclude_defaults=True),
                "sources": {digest: asdict(file) for digest, file in plan.context.files.items()},
                "versions": _versions(),
            }
        )

    def end(
        self,
        *,
        actors: Sequence[Mapping[str, Any]],
        seconds: Mapping[str, float],
        cost: Mapping[str, float],
        devices: Mapping[str, Any],
        started: float,
        finished: float,
    ) -> None:
        """Note who did the work, how long each phase took, what devices it held, and what each endpoint cost."""
        work = {"actors": list(actors), "seconds": dict(seconds), "started": started, "finished": finished}
        work |= {"cost": dict(cost)} if cost else {}
        work |= {"devices": dict(devices)}
        earlier = self.telemetry().get("work", [])
        self._note({"work": [*earlier, work]})

    def telemetry(self) -> dict[str, Any]:
        """What was noted; empty before `begin`.

        Raises:
            StoreError: the note is damaged.
        """
        try:
            return dict(json.loads(self.store.read(keys.run_key(self.run_id, "telemetry.json"))))
        except ObjectMissing:
            return {}
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{self.uri}/telemetry.json is damaged ({type(error).__name__}); delete it: the run's next start notes "
                "anew where its corpus lies"
            ) from error

    def record(self) -> RunRecord:
        """The run's record.

        Raises:
            InputError: there is no such run, or its record is none that this version reads.
        """
        try:
            return RunRecord.model_validate_json(self.store.read(keys.run_key(self.run_id, "run.json")))
        except ObjectMissing:
            raise InputError(f"{self.uri} is no run: it has no run.json; start one with `halluc-ray run`") from None
        except ValidationError as error:
            raise InputError(
                f"{self.uri}/run.json is no record of a run that this version reads ({error.error_count()} problems); "
                "read it with the version that wrote it, or delete it: the same command writes it again"
            ) from None

    def sources(self) -> dict[str, CorpusFile]:
        """File digest -> where it was when the run was last started; files that are gone or changed are left out."""
        noted = {digest: CorpusFile(**fields) for digest, fields in self.telemetry().get("sources", {}).items()}
        return {digest: file for digest, file in noted.items() if _is_as_planned(file)}

    def _note(self, facts: Mapping[str, Any]) -> None:
        known = {**self.telemetry(), **facts}
        text = json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False)
        self.store.put(keys.run_key(self.run_id, "telemetry.json"), text.encode())


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished run.

    Attributes:
        run_id: of the run.
        run_uri: where it lies.
        result: its report.
        shards: planned (system, shard) pairs.
        shards_computed: of these, by this command.
        cost: money that their answers cost, by system, for endpoints that have a price.
    """

    run_id: str
    run_uri: str
    result: Report
    shards: int
    shards_computed: int
    cost: Mapping[str, float] = field(default_factory=dict)

    @property
    def report(self) -> dict[str, Any]:
        """The report as plain values, as in report.json."""
        return self.result.to_dict()

    @property
    def report_html_uri(self) -> str:
        """The page."""
        return f"{self.run_uri}/report.html"

    @property
    def failed_share(self) -> float:
        """Failed units over all units."""
        return self.result.failed_share

    @property
    def too_many_failed(self) -> bool:
        """More rows failed than the spec's `max_failed` allows."""
        return self.result.failed_share > self.result.max_failed


def run_of_spec(store: ObjectStore, spec: RunSpec) -> RunFolder:
    """The last run that a spec made; nothing is planned anew.

    Raises:
        InputError: it has made none in this output.
    """
    try:
        pointer = json.loads(store.read(keys.spec_key(spec_digest(spec))))
    except ObjectMissing:
        raise InputError(
            f"this spec has no run in {store.uri} yet; start one with `halluc-ray run` (a run with --set is found with "
            "the same --set, or by its URI)"
        ) from None
    return RunFolder(store, pointer["run_id"])


def _is_as_planned(file: CorpusFile) -> bool:
    try:
        verify_unchanged(file)
    except (InputError, StoreError):
        return False
    return True


def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
