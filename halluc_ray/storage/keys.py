"""Where things lie under an output root. The only place that spells a key.

stages/<kind>-<digest>/stage.json, /parts/<shard>.<attempt>[.<name>].parquet, /commits/<shard>.json,
/heartbeat.json; runs/<run_id>/...; specs/<spec digest>.json points from a spec to its last run;
suites/<suite>/... is history, site/... its pages;
gc/marks/... and gc/condemned/... are garbage collection's own.
"""

from __future__ import annotations


def stage_key(stage: str) -> str:
    """What a stage's digest covers; create-only."""
    return f"stages/{stage}/stage.json"


def parts_prefix(stage: str, shard: str = "") -> str:
    """Prefix of a stage's parts, or of one shard's attempts."""
    return f"stages/{stage}/parts/{shard}{'.' if shard else ''}"


def part_key(stage: str, shard: str, attempt: str, part: str = "") -> str:
    """One part of one attempt; the main part has no name."""
    return f"stages/{stage}/parts/{shard}.{attempt}{'.' if part else ''}{part}.parquet"


def commits_prefix(stage: str) -> str:
    """Prefix of a stage's commit markers."""
    return f"stages/{stage}/commits/"


def commit_key(stage: str, shard: str) -> str:
    """The create-only marker of a shard."""
    return f"stages/{stage}/commits/{shard}.json"


def heartbeat_key(stage: str) -> str:
    """Who works on a stage, and their last sign of life."""
    return f"stages/{stage}/heartbeat.json"


def run_key(run_id: str, name: str) -> str:
    """A file of a run: run.json, report.json, report.html, counts.parquet, verdicts.json, telemetry.json."""
    return f"runs/{run_id}/{name}"


def cancel_key(run_id: str) -> str:
    """A request to stop; removed by the driver that heard it."""
    return f"runs/{run_id}/cancel.json"


def night_key(suite: str, name: str = "") -> str:
    """A night of a suite, `<scheduled date>-<run id>.json`; create-only. Without a name: the prefix of all."""
    return f"suites/{suite}/nights/{name}"


def gate_key(suite: str, night: str, name: str) -> str:
    """gate.json, gate.xml or gate.md of a night, `<scheduled date>-<run id>`; create-only."""
    return f"suites/{suite}/gates/{night}/{name}"


def release_key(suite: str, release: str) -> str:
    """Which runs a named release stands for; create-only."""
    return f"suites/{suite}/releases/{release}.json"


def told_key(suite: str, name: str) -> str:
    """That a night was told to a channel."""
    return f"suites/{suite}/told/{name}.json"


def spec_key(spec_digest: str) -> str:
    """Pointer from a spec's digest to the last run that it made."""
    return f"specs/{spec_digest}.json"


def probe_key(nonce: str) -> str:
    """A throw-away object that shows what the store can do, and who sees it."""
    return f"probes/{nonce}"


def site_key(suite: str = "", name: str = "index.html") -> str:
    """A page of the site: of a suite, or the list of all; derived, and so written over. An empty name: a prefix."""
    return f"site/{suite}{'/' if suite else ''}{name}"


def run_page_key(suite: str, run_id: str) -> str:
    """The page of a run as a suite publishes it."""
    return site_key(suite, f"runs/{run_id}.html")


def night_page_key(suite: str, night: str) -> str:
    """What changed from its baseline to a night, `<scheduled date>-<run id>`."""
    return site_key(suite, f"nights/{night}.html")


def mark_key(name: str = "") -> str:
    """That something was garbage when the mark was written. Without a name: the prefix of all."""
    return f"gc/marks/{name}.json" if name else "gc/marks/"


def condemned_key(token: str = "") -> str:
    """What a collector is about to free. Without a token: the prefix of all."""
    return f"gc/condemned/{token}.json" if token else "gc/condemned/"
