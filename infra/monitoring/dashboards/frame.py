"""What the dashboards have in common: variables, links, and panels numbered once for all.

Called by `run`, `cluster` and `nightly`.
"""

from __future__ import annotations

from collections.abc import Iterator

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    RowPanel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from infra.monitoring.dashboards.panels import DATASOURCE

TAG = "halluc-ray"
RUNBOOK = "docs/operations.md"


def begin(uid: str, title: str, about: str, *, since: str, refresh: str, runbook: str) -> dashboard.Dashboard:
    """A dashboard without panels.

    Args:
        uid: never changes, since addresses hold it.
        since: as Grafana writes it, e.g. `now-1h`.
        refresh: likewise, e.g. `30s`.
        runbook: address of the published docs/operations.md.
    """
    others = dashboard.DashboardLink("halluc_ray").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    others = others.as_dropdown(True).keep_time(False).include_vars(False)
    board = dashboard.Dashboard(title).uid(uid).description(about).tags([TAG]).time(since, "now").refresh(refresh)
    board = board.tooltip(DashboardCursorSync.CROSSHAIR).timezone("browser").editable().link(others)
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    return board.with_variable(source).with_variable(dashboard.ConstantVariable("runbook").value(runbook))


def choice(name: str, about: str, *, values: str, many: bool) -> dashboard.QueryVariable:
    """A variable with the values of a label.

    Args:
        values: `label_values(METRIC, LABEL)`.
        many: several at once, at first all of them.
    """
    variable = dashboard.QueryVariable(name).label(name).description(about).datasource(DATASOURCE)
    variable = variable.query({"query": values, "refId": name}).definition(values)
    variable = variable.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_DESC)
    if not many:
        return variable
    everything = VariableOption(selected=True, text=["All"], value=["$__all"])
    variable = variable.multi(True).include_all(True).all_value(".*").current(everything)
    return variable.sort(VariableSort.ALPHABETICAL_ASC)


def numbered(board: dashboard.Dashboard) -> Dashboard:
    """The dashboard with a number on each panel that has none: those in its order, from 100 on.

    Links stand above the panels; the SDK would hide them in a menu.
    """
    built = board.build()
    for number, panel in enumerate(panels_of(built), start=100):
        panel.id_val = panel.id_val or number
    for link in built.links or []:
        link.placement = None  # type: ignore[assignment]
    return built


def panels_of(built: Dashboard) -> Iterator[Panel | RowPanel]:
    """Rows and panels, those inside rows too."""
    for panel in built.panels or []:
        yield panel
        if isinstance(panel, RowPanel):
            yield from panel.panels
