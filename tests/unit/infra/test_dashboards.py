"""Dashboards: what is checked in is what the script writes, asks for what is shown, and is whole."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from ray.dashboard.modules.reporter import reporter_agent

from infra.monitoring.dashboards.cluster import NODES_PANEL, UTILISATION_PANEL
from tests.boards import BOARDS, FOLDER, RAYS_OWN, RAYS_OWN_OF_GPUS, asked, board, declared, filled, panels, undeclared

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "infra" / "monitoring"
RULES = ("alerts.yml", "nights.yml")
UIDS = {"run": "halluc-ray-run", "cluster": "halluc-ray-cluster", "nightly": "halluc-ray-nightly"}
MAINTAINED = {"stat", "timeseries", "state-timeline", "table"}
SOME = {
    "run_id": "r", "suite": "s", "spec": ".*", "system": ".*", "indicator": "i", "SessionName": ".*", "node": ".*",
    "__rate_interval": "1m",
}  # fmt: skip


def rules() -> list[dict]:
    files = [yaml.safe_load((MONITORING / name).read_text()) for name in RULES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def test_what_is_checked_in_is_what_the_script_writes(tmp_path):
    command = [sys.executable, "-m", "infra.monitoring.dashboards", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    written = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    assert set(written) == {f"{name}.json" for name in BOARDS}


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_own_models_read_all_of_it(name):
    """What they don't know, they lose; they always give a link a place."""
    again = json.loads(json.dumps(Dashboard.from_json(board(name)), cls=JSONEncoder))
    for link in again["links"]:
        del link["placement"]
    assert again == board(name)


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_asks_for_what_is_shown(name):
    series = declared()
    assert {q.expr: found for q in asked(name) if (found := undeclared(filled(q.expr, SOME), series))} == {}
    for variable in board(name)["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"]).groups()
            assert undeclared(f"sum by ({label}) ({filled(selector, SOME)})", series) == set()


def test_every_rule_asks_for_what_is_shown():
    recorded = {rule["record"]: {"run_id", "system", "indicator"} for rule in rules() if "record" in rule}
    series = declared() | recorded
    assert {rule["expr"]: found for rule in rules() if (found := undeclared(rule["expr"], series))} == {}


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        ("halluc_ray_nights", {"halluc_ray_nights"}),
        ('halluc_ray_night_gate{suit="qa"}', {"suit"}),
        ("sum by (system) (halluc_ray_night_gate)", {"system"}),
        ("sum by (spec) (sum by (suite) (halluc_ray_night_gate))", {"spec"}),
        ("rate(ray_halluc_ray_tokens[1m])", {"ray_halluc_ray_tokens"}),
        ("histogram_quantile(0.5, sum by (le) (rate(ray_halluc_ray_commit_seconds[1m])))", None),
    ],
)
def test_what_nobody_shows_is_found(wrong, found):
    assert undeclared(wrong, declared()) == (found or {"ray_halluc_ray_commit_seconds", "le"})


def test_every_metric_is_on_a_dashboard_or_in_a_rule():
    """But for what is there to be joined with, or to be asked for by hand."""
    text = "\n".join([*(q.expr for name in BOARDS for q in asked(name)), *(rule["expr"] for rule in rules())])
    text += "\n".join(v.get("definition", "") for name in BOARDS for v in board(name)["templating"]["list"])
    unused = {name for name in declared() if not re.search(rf"\b{name}\b", text)}
    assert unused == {
        "ray_halluc_ray_commit_seconds_sum",
        "ray_halluc_ray_commit_seconds_count",
        "halluc_ray_exporter_store_errors_total",
        *(f"halluc_ray_{subject}_finished_timestamp_seconds" for subject in ("night", "run")),
        *(f"halluc_ray_run_{name}" for name in ("answered_share", "cost", "device_seconds", "failed_share", "units")),
    }


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows(name):
    assert board(name)["uid"] == UIDS[name]
    for panel in panels(name):
        assert panel["type"] in MAINTAINED
        assert panel["title"]
        assert len(panel["description"]) > 10
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert len({panel["title"] for panel in panels(name)}) == len(panels(name))
    ids = [panel["id"] for panel in board(name)["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_lie_side_by_side(name):
    taken = set()
    for panel in board(name)["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("name", BOARDS)
def test_names_of_series_are_labels_of_theirs(name):
    for query in asked(name):
        kept = re.search(r"by \(([\w, ]+)\)", query.expr)
        labels = set(kept[1].split(", ")) if kept else set()
        assert set(re.findall(r"{{(\w+)}}", query.legend)) <= labels, query


def test_bands_fill_between_the_ends_of_the_interval():
    [panel] = [panel for panel in panels("nightly") if panel["title"] == "$system"]
    assert [target["legendFormat"] for target in panel["targets"]] == ["rate", "low", "high"]
    overrides = {
        o["matcher"]["options"]: dict(p.values() for p in o["properties"]) for o in panel["fieldConfig"]["overrides"]
    }
    assert overrides["high"]["custom.fillBelowTo"] == "low"
    assert panel["repeat"] == "system"


def test_each_alert_says_what_to_do_and_is_in_the_runbook():
    runbook = (ROOT / "docs" / "operations.md").read_text("utf-8")
    headings = set(re.findall(r"^### (\w+)$", runbook, re.MULTILINE))
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    for name, rule in alerts.items():
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(alerts) <= headings
    links = [link["url"] for name in BOARDS for panel in panels(name) for link in panel.get("links", [])]
    assert len(links) > 10
    assert set(links) <= {f"${{runbook:raw}}#{name.lower()}" for name in alerts}


def test_rays_metrics_of_gpus_are_in_its_own_table():
    """Those of other machines are met on a real Ray; GPUs are not everywhere."""
    assert set(RAYS_OWN_OF_GPUS) <= {f"ray_{metric.name}" for metric in reporter_agent.METRICS_GAUGES.values()}
    for labels in RAYS_OWN_OF_GPUS.values():
        assert labels <= {*reporter_agent.GPU_TAG_KEYS, "SessionName"}
    assert not set(RAYS_OWN) & set(RAYS_OWN_OF_GPUS)


def test_rays_dashboard_can_show_the_clusters():
    """Its overview takes panels by number, its Metrics page passes variables."""
    [script] = (Path(ray.__file__).parent / "dashboard/client/build/static/js").glob("main.*.js")
    text = script.read_text("utf-8")
    taken = set(re.findall(r"default-dashboard\?[^`]*?panelId=(\d+)", text))
    assert taken == {str(NODES_PANEL), str(UTILISATION_PANEL)}
    assert taken <= {str(panel["id"]) for panel in panels("cluster")}
    names = {variable["name"] for variable in board("cluster")["templating"]["list"]}
    for name in ("SessionName", "datasource"):
        assert f'"var-{name}"' in text
        assert name in names
