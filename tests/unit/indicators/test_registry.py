"""Kinds, near misses, plugins that work and plugins that do not."""

import sys
from importlib.metadata import PathDistribution
from pathlib import Path

import jsonschema
import pytest

from halluc_ray.errors import SpecError
from halluc_ray.indicators import registry

BUILTIN = {"answer_mismatch", "label_mismatch", "recorded_label", "recorded_score", "unsupported_number"}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that offers one good indicator and several broken ones."""
    (tmp_path / "acme_indicators.py").write_text(
        "from halluc_ray.indicators.recorded_label import RecordedLabel\n"
        "class Twin(RecordedLabel):\n    kind = 'acme_twin'\n"
        "class Empty:\n    kind = 'acme_empty'\n"
    )
    (tmp_path / "acme_broken.py").write_text("import a_package_that_is_not_there\n")
    info = tmp_path / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[halluc_ray.indicators]\n"
        "acme_twin = acme_indicators:Twin\n"
        "acme_empty = acme_indicators:Empty\n"
        "acme_missing = acme_indicators:Nowhere\n"
        "acme_broken = acme_broken:Thing\n"
        "recorded_label = acme_indicators:Empty\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for module in ("acme_indicators", "acme_broken"):
        sys.modules.pop(module, None)


def test_builtin_kinds_are_their_own_names() -> None:
    assert set(registry.kinds()) >= BUILTIN
    assert {kind: registry.get(kind).kind for kind in BUILTIN} == {kind: kind for kind in BUILTIN}


def test_a_near_miss_is_named() -> None:
    with pytest.raises(SpecError, match="'answer_mismach' is unknown; did you mean 'answer_mismatch'"):
        registry.get("answer_mismach")


def test_a_plugin_is_found(plugins: Path) -> None:
    assert PathDistribution(plugins / "acme-1.2.dist-info").name == "acme"
    assert registry.get("acme_twin").kind == "acme_twin"
    assert "acme_twin" in registry.kinds()


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("acme_broken", "acme 1.2 can't be imported from acme_broken:Thing: ModuleNotFoundError"),
        ("acme_missing", "acme 1.2 can't be imported from acme_indicators:Nowhere: AttributeError"),
        ("acme_empty", "is no indicator class .it lacks semantics_version"),
    ],
)
def test_a_broken_plugin_is_named_and_harms_no_other(plugins: Path, kind: str, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        registry.get(kind)
    assert registry.get("acme_twin").kind == "acme_twin"
    assert "can't be imported" in registry.json_schema()["acme_broken"]["description"]


def test_a_plugin_can_not_replace_a_builtin_kind(plugins: Path) -> None:
    assert registry.get("recorded_label").__module__ == "halluc_ray.indicators.recorded_label"


def test_schemas_are_json_schemas_with_a_description_for_each_option() -> None:
    schemas = registry.json_schema()
    assert set(schemas) >= BUILTIN
    for kind in BUILTIN:
        jsonschema.Draft202012Validator.check_schema(schemas[kind])
        assert schemas[kind]["additionalProperties"] is False
        assert all("description" in option for option in schemas[kind].get("properties", {}).values())
        assert registry.get(kind).Options.thresholds <= set(schemas[kind].get("properties", {}))


@pytest.mark.parametrize("kind", sorted(BUILTIN))
def test_every_indicator_cites_a_source_and_shows_itself_at_work(kind: str) -> None:
    doc = registry.get(kind).__doc__ or ""
    assert "Reference:" in doc
    assert ">>>" in doc
