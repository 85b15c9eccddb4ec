"""Panels as these dashboards use them: a title, what it means, queries, a unit.

Knows Grafana's SDK and how a panel looks; not what is asked. Called by `run`, `cluster` and `nightly`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
VERDICT = 'max by ({by}) (2 * {metric}{{{where}, verdict="FAIL"}} or {metric}{{{where}, verdict="INCONCLUSIVE"}})'
"""A verdict as a number that a panel can colour: 0 PASS, 1 INCONCLUSIVE, 2 FAIL."""

P = TypeVar("P", stat.Panel, timeseries.Panel, statetimeline.Panel, table.Panel)


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression and the name of its series; in a table, of its column, which is hidden without one."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What every kind of panel has.

    Attributes:
        unit: one of Grafana's units.
        width, height: in cells of Grafana's grid, 24 to a row.
        red_from: values from here on are red; `orange_from` likewise.
        alert: whose paragraph of the runbook the panel links to.
        decimals: shown; Grafana's choice without it.
        nothing: what stands in a panel without data.
    """

    unit: str = units.Short
    width: int = 8
    height: int = 8
    red_from: float | None = None
    orange_from: float | None = None
    alert: str = ""
    decimals: int | None = None
    nothing: str = "No data"


def number(title: str, about: str, query: Query, *, look: Look, verdicts: bool = False) -> stat.Panel:
    """The latest value of each series, large.

    Args:
        verdicts: the value is one of `VERDICT`.
    """
    panel = stat.Panel().graph_mode(common.BigValueGraphMode.NONE if verdicts else common.BigValueGraphMode.AREA)
    panel = panel.reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
    coloured = verdicts or look.red_from is not None or look.orange_from is not None
    panel = panel.color_mode(common.BigValueColorMode.BACKGROUND if coloured else common.BigValueColorMode.NONE)
    if verdicts:
        panel = panel.mappings([_verdict_names()])
    return _dress(panel, title, about, [query], look=look)


def lines(
    title: str, about: str, *queries: Query, look: Look, stacked: bool = False, share: bool = False, steps: bool = False
) -> timeseries.Panel:
    """Values over time.

    Args:
        stacked: areas one upon the other.
        share: the axis is that of a share, from 0 to 1; of a stack, in percent.
        steps: a value stands until the next one comes.
    """
    panel = timeseries.Panel().line_width(2 if steps else 1).fill_opacity(40 if stacked else 5)
    panel = panel.show_points(common.VisibilityMode.NEVER).span_nulls(False)
    panel = panel.tooltip(common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    legend = common_builders.VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).show_legend(True)
    panel = panel.legend(legend.placement(common.LegendPlacement.BOTTOM))
    if steps:
        panel = panel.line_interpolation(common.LineInterpolation.STEP_AFTER)
    if stacked:
        mode = common.StackingMode.PERCENT if share else common.StackingMode.NORMAL
        panel = panel.stacking(common_builders.StackingConfig().mode(mode).group("A"))
    panel = panel.min(0)
    if share and not stacked:
        panel = panel.max(1)
    return _dress(panel, title, about, queries, look=look)


def band(title: str, about: str, *, rate: str, low: str, high: str, look: Look) -> timeseries.Panel:
    """A rate and its interval as a band; each expression gives one series."""
    queries = (Query(rate, "rate"), Query(low, "low"), Query(high, "high"))
    hidden = [("custom.lineWidth", 0), ("custom.hideFrom", {"legend": True, "tooltip": False, "viz": False})]
    panel = lines(title, about, *queries, look=look, steps=True)
    panel = panel.override_by_name("low", _properties(*hidden, ("custom.fillOpacity", 0)))
    filled = (("custom.fillBelowTo", "low"), ("custom.fillOpacity", 20))
    return panel.override_by_name("high", _properties(*hidden, *filled))


def states(title: str, about: str, query: Query, *, look: Look) -> statetimeline.Panel:
    """Verdicts over time, a line for each series."""
    panel = statetimeline.Panel().show_value(common.VisibilityMode.AUTO).merge_values(True).row_height(0.8)
    return _dress(panel.mappings([_verdict_names()]), title, about, [query], look=look)


def listing(title: str, about: str, *queries: Query, look: Look, shares: Sequence[str] = ()) -> table.Panel:
    """The latest values side by side: a row for each set of labels, a column for each query.

    Args:
        shares: columns that are shown in percent.
    """
    panel = table.Panel().filterable(True).with_transformation(DataTransformerConfig(id_val="merge", options={}))
    columns = {f"Value #{_letter(k)}" if len(queries) > 1 else "Value": q.legend for k, q in enumerate(queries)}
    hidden = {"Time": True} | {column: True for column, legend in columns.items() if not legend}
    options = {
        "excludeByName": hidden,
        "renameByName": {column: legend for column, legend in columns.items() if legend},
    }
    panel = panel.with_transformation(DataTransformerConfig(id_val="organize", options=options))
    for name in shares:
        panel = panel.override_by_name(name, _properties(("unit", units.PercentUnit), ("decimals", 2)))
    return _dress(panel, title, about, queries, look=look)


def _dress(panel: P, title: str, about: str, queries: Sequence[Query], *, look: Look) -> P:
    panel = panel.title(title).description(about).datasource(DATASOURCE).unit(look.unit)
    panel = panel.span(look.width).height(look.height).thresholds(_thresholds(look))
    panel = panel.no_value(look.nothing)
    if look.decimals is not None:
        panel = panel.decimals(look.decimals)
    if look.alert:
        link = dashboard.DashboardLink(f"Runbook: {look.alert}").type(DashboardLinkType.LINK).target_blank(True)
        panel = panel.links([link.url(f"${{runbook:raw}}#{look.alert.lower()}")])
    for at, query in enumerate(queries):
        target = prometheus.Dataquery().ref_id(_letter(at)).datasource(DATASOURCE).expr(query.expr)
        if isinstance(panel, table.Panel):
            target = target.instant().format(PromQueryFormat.TABLE)
        else:
            target = target.range().legend_format(query.legend or "__auto")
        panel = panel.with_target(target)
    return panel


def _thresholds(look: Look) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value=None, color="green")]
    steps += [Threshold(value=look.orange_from, color="orange")] if look.orange_from is not None else []
    steps += [Threshold(value=look.red_from, color="red")] if look.red_from is not None else []
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _verdict_names() -> ValueMap:
    named = (("PASS", "green"), ("INCONCLUSIVE", "orange"), ("FAIL", "red"))
    options = {str(k): ValueMappingResult(text=text, color=color, index=k) for k, (text, color) in enumerate(named)}
    return ValueMap(options=options)


def _properties(*pairs: tuple[str, object]) -> list[DynamicConfigValue]:
    return [DynamicConfigValue(id_val=name, value=value) for name, value in pairs]


def _letter(at: int) -> str:
    return chr(ord("A") + at)
