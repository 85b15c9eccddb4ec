"""The checked-in dashboards as tests ask them: their queries with variables filled in, and what a Prometheus says."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser

from halluc_ray.records.metrics import OF_A_LIVING_RUN, OF_A_STORE, Metric

FOLDER = Path(__file__).parents[1] / "infra" / "monitoring" / "dashboards"
BOARDS = ("run", "cluster", "nightly")
EVERYWHERE = {"instance", "job"}
"""Labels that Prometheus puts on whatever it scrapes."""

_NODE = {"ip", "SessionName", "IsHeadNode", "RayNodeType"}
_GPU = {*_NODE, "GpuIndex", "GpuDeviceName"}
_CORE = {"NodeAddress", "SessionName", "Component", "WorkerId"}
RAYS_OWN: dict[str, set[str]] = {
    "autoscaler_active_nodes": {"SessionName", "NodeType"},
    "autoscaler_pending_nodes": {"SessionName", "NodeType"},
    "autoscaler_pending_resources": {"SessionName", "resource"},
    "autoscaler_recently_failed_nodes": {"SessionName", "NodeType"},
    "ray_actors": {*_CORE, "Name", "State", "Source", "JobId"},
    "ray_node_cpu_count": _NODE,
    "ray_node_cpu_utilization": _NODE,
    "ray_node_disk_free": _NODE,
    "ray_node_disk_io_read_speed": _NODE,
    "ray_node_disk_io_write_speed": _NODE,
    "ray_node_disk_usage": _NODE,
    "ray_node_mem_total": _NODE,
    "ray_node_mem_used": _NODE,
    "ray_node_network_receive_speed": _NODE,
    "ray_node_network_send_speed": _NODE,
    "ray_object_store_used_memory": _CORE,
    "ray_resources": {*_CORE, "Name", "State"},
    "ray_running_jobs": _CORE,
    "ray_spill_manager_objects_bytes": {*_CORE, "State"},
}
"""Ray's metrics that dashboards and alerts read, on any machine, with their labels."""

RAYS_OWN_OF_GPUS: dict[str, set[str]] = {
    "ray_node_gpus_available": _GPU,
    "ray_node_gpus_utilization": _GPU,
    "ray_node_gram_available": _GPU,
    "ray_node_gram_used": _GPU,
}
"""The same, where there are GPUs."""


@dataclass(frozen=True)
class Asked:
    """One query of a panel."""

    panel: dict[str, Any]
    ref: str
    expr: str
    legend: str

    @property
    def title(self) -> str:
        return str(self.panel["title"])


def board(name: str) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{name}.json").read_text("utf-8")))


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in board(name)["panels"] if panel["type"] != "row"]


def asked(name: str) -> list[Asked]:
    return [Asked(p, t["refId"], t["expr"], t.get("legendFormat", "")) for p in panels(name) for t in p["targets"]]


def filled(expr: str, variables: Mapping[str, str]) -> str:
    """The expression with Grafana's variables replaced, as Grafana does: `$name`, `${name}`."""
    return re.sub(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", lambda found: variables[found[1] or found[2]], expr)


def declared() -> dict[str, set[str]]:
    """Series -> labels, of everything that the code, or Ray itself, shows."""
    series: dict[str, set[str]] = {**RAYS_OWN, **RAYS_OWN_OF_GPUS}
    for metric in OF_A_LIVING_RUN:
        series |= {f"ray_{name}": labels | _CORE for name, labels in _series_of(metric)}
    for metric in OF_A_STORE:
        series |= dict(_series_of(metric))
    return series


def _series_of(metric: Metric) -> Iterator[tuple[str, set[str]]]:
    if metric.kind == "histogram":
        yield f"{metric.name}_bucket", {*metric.labels, "le"}
        yield f"{metric.name}_sum", set(metric.labels)
        yield f"{metric.name}_count", set(metric.labels)
    else:
        yield metric.name + ("_total" if metric.kind == "counter" else ""), set(metric.labels)


def undeclared(expr: str, series: Mapping[str, set[str]]) -> set[str]:
    """Metrics and labels in an expression that nobody declares; a grouping's labels must come from below it."""
    found: set[str] = set()
    _walk(promql_parser.parse(expr), series, found)
    return found


def _walk(node: Any, series: Mapping[str, set[str]], found: set[str]) -> set[str]:
    """Labels that may stand in the node's result."""
    if isinstance(node, promql_parser.VectorSelector):
        labels = series.get(node.name, set()) | EVERYWHERE
        if node.name not in series:
            found.add(node.name)
        found.update(matcher.name for matcher in node.matchers.matchers if matcher.name not in labels)
        return labels
    below = [getattr(node, part, None) for part in ("lhs", "rhs", "expr", "param", "vector_selector")]
    labels = {label for part in (*below, *getattr(node, "args", ())) if part for label in _walk(part, series, found)}
    modifier = getattr(node, "modifier", None)
    if isinstance(node, promql_parser.AggregateExpr) and modifier is not None:
        found.update(label for label in modifier.labels if label not in labels)
        return set(modifier.labels)
    return labels


def says(url: str, path: str, **parameters: str) -> Any:
    """What Prometheus answers now; None where it does not."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=5) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{parameters}: {error.read().decode()}") from error
    except OSError:
        return None


def answers(
    url: str,
    name: str,
    *,
    variables: Mapping[str, str],
    may_be_empty: Collection[str] = (),
    at: float | None = None,
    limit_s: float = 30,
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(panel's title, letter of its query) -> series, of every query of a dashboard, once each has data.

    Args:
        url: of a real Prometheus.
        variables: values of the dashboard's.
        may_be_empty: queries that need not have data, as `Title A`.
        at: the moment that is asked about, in seconds since 1970; else now.
    """
    moment = {} if at is None else {"time": str(at)}
    deadline = time.monotonic() + limit_s
    while True:
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for query in asked(name):
            data = says(url, "query", query=filled(query.expr, variables), **moment) or {"result": []}
            found[query.title, query.ref] = data["result"]
        empty = {f"{title} {ref}" for (title, ref), series in found.items() if not series}
        missing = sorted(empty - set(may_be_empty))
        if not missing:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"no data for the queries {missing} of {name}")
        time.sleep(0.5)


def offered(url: str, name: str, *, variables: Mapping[str, str]) -> dict[str, list[str]]:
    """Variable -> the values that a person can choose."""
    found = {}
    for variable in board(name)["templating"]["list"]:
        if variable["type"] == "query":
            query = filled(variable["definition"], variables)
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()  # type: ignore[union-attr]
            found[variable["name"]] = says(url, f"label/{label}/values", **{"match[]": selector})
    return found
