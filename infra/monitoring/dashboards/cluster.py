"""The dashboard of a Ray cluster: nodes, what they have and use, actors.

Reads Ray's own metrics, none of halluc_ray's. Ray's dashboard can show it in place of its own: it passes
`SessionName` and `datasource`, and its overview takes two panels by their numbers. Called by the script
of the dashboards.
"""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row
from grafana_foundation_sdk.models import units

from infra.monitoring.dashboards.frame import begin, choice
from infra.monitoring.dashboards.panels import Look, Query, lines, number

UTILISATION_PANEL, NODES_PANEL = 41, 24
"""Panels of a cluster's dashboard that the overview page of Ray's dashboard shows, by its own numbers."""

_SESSION = 'SessionName=~"$SessionName"'
_MEMORY = Look(units.PercentUnit, red_from=0.93, alert="RayNodeOutOfMemorySoon")
_GPU = Look(units.PercentUnit, nothing="No GPU")
_DISK = Look(units.PercentUnit, red_from=0.95, alert="RayNodeDiskFull")


def cluster_dashboard(*, runbook: str) -> Dashboard:
    """The dashboard.

    Args:
        runbook: address of the published docs/operations.md.
    """
    about = "A Ray cluster: nodes, their resources and what is used of them, actors by state."
    board = begin("halluc-ray-cluster", "halluc_ray / cluster", about, since="now-1h", refresh="30s", runbook=runbook)
    sessions = "label_values(ray_node_cpu_count, SessionName)"
    board = board.with_variable(choice("SessionName", "A start of the cluster", values=sessions, many=True))
    nodes = f"label_values(ray_node_cpu_count{{{_SESSION}}}, ip)"
    board = board.with_variable(choice("node", "Address of a node", values=nodes, many=True))
    _cluster(board.with_row(Row("Cluster")))
    _nodes(board.with_row(Row("Nodes")))
    _gpus(board.with_row(Row("GPUs")))
    _ray(board.with_row(Row("Ray")))
    return board


def _of(name: str, **labels: str) -> str:
    """Series of the chosen nodes; Ray names a node by `ip` or by `NodeAddress`."""
    at = "ip" if name.startswith("node_") else "NodeAddress"
    more = "".join(f', {label}="{value}"' for label, value in labels.items())
    return f'ray_{name}{{{_SESSION}, {at}=~"$node"{more}}}'


def _cluster(board: Dashboard) -> None:
    states = (("active", "active"), ("pending", "starting"), ("recently_failed", "failed lately"))
    nodes = {name: f"sum(autoscaler_{name}_nodes{{{_SESSION}}})" for name, _ in states}
    kinds = [Query(f"{nodes[name]} or 0 * {nodes['active']}", legend) for name, legend in states[1:]]
    kinds = [Query(nodes["active"], "active"), *kinds]
    shown = lines("Nodes", "Nodes that work, start, and failed lately", *kinds, look=Look(width=7), stacked=True)
    board.with_panel(shown.id(NODES_PANEL))
    shares = (
        Query(f"avg({_of('node_cpu_utilization')}) / 100", "CPU"),
        Query(f"sum({_of('node_mem_used')}) / sum({_of('node_mem_total')})", "memory"),
        Query(f"sum({_of('object_store_used_memory')}) / {_store_size()}", "object store"),
        Query(f"{_disk('sum', 'usage')} / ({_disk('sum', 'usage')} + {_disk('sum', 'free')})", "disk"),
        Query(f"sum({_of('node_gpus_utilization')}) / sum({_of('node_gpus_available')}) / 100", "GPU"),
        Query(f"sum({_gram('used')}) / (sum({_gram('used')}) + sum({_gram('available')}))", "GPU memory"),
    )
    used = lines(
        "Utilisation", "What is used of all that the nodes have", *shares, look=Look(units.PercentUnit), share=True
    )
    board.with_panel(used.id(UTILISATION_PANEL))
    actors = Query(f'sum by (State) (ray_actors{{{_SESSION}, Source="gcs"}}) > 0', "{{State}}")
    text = "Actors of all jobs by state; PENDING_CREATION for long means that nothing has room for them"
    board.with_panel(lines("Actors", text, actors, look=Look(width=6), stacked=True))
    jobs = Query(f"sum(ray_running_jobs{{{_SESSION}}})", "running")
    board.with_panel(number("Jobs", "Drivers that are connected now", jobs, look=Look(width=3)))


def _nodes(board: Dashboard) -> None:
    cpu = Query(f"sum by (ip) ({_of('node_cpu_utilization')}) / 100", "{{ip}}")
    board.with_panel(
        lines("CPU", "Share of each node's CPUs that is busy", cpu, look=Look(units.PercentUnit), share=True)
    )
    memory = Query(f"sum by (ip) ({_of('node_mem_used')}) / sum by (ip) ({_of('node_mem_total')})", "{{ip}}")
    text = "Share of each node's memory that is used; a container's limit counts where there is one"
    board.with_panel(lines("Memory", text, memory, look=_MEMORY, share=True))
    disk = Query(
        f"{_disk('sum by (ip)', 'usage')} / ({_disk('sum by (ip)', 'usage')} + {_disk('sum by (ip)', 'free')})",
        "{{ip}}",
    )
    text = "Share of each node's disk that is used, where Ray's temporary folder is"
    board.with_panel(lines("Disk", text, disk, look=_DISK, share=True))
    received = Query(f"sum by (ip) ({_of('node_network_receive_speed')})", "{{ip}} in")
    sent = Query(f"sum by (ip) ({_of('node_network_send_speed')})", "{{ip}} out")
    look = Look(units.BytesPerSecondIEC, 12)
    board.with_panel(
        lines("Network", "Bytes per second, in and out: corpora, checkpoints, parts", received, sent, look=look)
    )
    read = Query(f"sum by (ip) ({_of('node_disk_io_read_speed')})", "{{ip}} read")
    write = Query(f"sum by (ip) ({_of('node_disk_io_write_speed')})", "{{ip}} write")
    board.with_panel(lines("Disk traffic", "Bytes per second, read and written", read, write, look=look))


def _gpus(board: Dashboard) -> None:
    name = "{{ip}} GPU {{GpuIndex}}"
    busy = Query(f"sum by (ip, GpuIndex) ({_of('node_gpus_utilization')}) / 100", name)
    text = "Share of the time in which a GPU did something; not how much of it was used"
    board.with_panel(lines("GPU busy", text, busy, look=_GPU, share=True))
    used, free = (f"sum by (ip, GpuIndex) ({_gram(part)})" for part in ("used", "available"))
    memory = Query(f"{used} / ({used} + {free})", name)
    text = "Share of each GPU's memory that is held, by whomever"
    board.with_panel(lines("GPU memory", text, memory, look=_GPU, share=True))
    held = _handed_out("GPU")
    text = "GPUs as Ray hands them out: held by actors, and free; a share of one counts as that"
    board.with_panel(lines("GPUs handed out", text, *held, look=Look(nothing="No GPU"), stacked=True))


def _ray(board: Dashboard) -> None:
    held = _handed_out("CPU")
    text = "CPUs as Ray hands them out: held by actors and tasks, and free"
    board.with_panel(lines("CPUs handed out", text, *held, look=Look(), stacked=True))
    used = Query(f"sum({_of('object_store_used_memory')})", "used")
    room = Query(_store_size(), "room")
    spilled = Query(f"sum({_of('spill_manager_objects_bytes', State='Spilled')})", "spilled to disk")
    text = "Ray's object store. Evaluations keep their rows out of it, so little is used"
    board.with_panel(lines("Object store", text, used, room, spilled, look=Look(units.BytesIEC)))
    waiting = Query(f"sum by (resource) (autoscaler_pending_resources{{{_SESSION}}})", "{{resource}}")
    text = "CPUs and GPUs of nodes that are being started"
    board.with_panel(lines("Starting", text, waiting, look=Look()))


def _store_size() -> str:
    return f"sum({_of('resources', Name='object_store_memory')})"


def _handed_out(what: str) -> list[Query]:
    return [Query(f"sum({_of('resources', Name=what, State=state)})", state.lower()) for state in ("USED", "AVAILABLE")]


def _disk(how: str, what: str) -> str:
    return f"{how} ({_of(f'node_disk_{what}')})"


def _gram(what: str) -> str:
    return _of(f"node_gram_{what}")
