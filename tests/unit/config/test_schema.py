"""The JSON Schema against an independent validator, and the page about specs against the schema."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from halluc_ray.config.schema import spec_schema
from halluc_ray.indicators.registry import json_schema

SPEC = """\
corpus: {uri: c, columns: {prompt: q}, where: "lang = 'en'"}
systems:
  - {name: m, kind: causal-lm, checkpoint: x, decoding: {seed: 1}}
  - {name: s, kind: sequence-classification, checkpoint: x, labels: {'0': a}}
indicators:
  - {kind: answer_mismatch, mode: contains}
  - {name: h, kind: recorded_score, column: hhem_score, below: 0.5, valid: is_valid}
slices: [lang, [lang, model]]
engine: {actors: auto, shard_rows: 10}
"""


@pytest.fixture(scope="module")
def validator():
    schema = spec_schema(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_spec_is_valid(validator):
    assert list(validator.iter_errors(yaml.safe_load(SPEC))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mode: contains", "mode: contain"),
        ("mode: contains", "mod: contains"),
        ("kind: answer_mismatch", "kind: answer_missmatch"),
        ("seed: 1", "seeds: 1"),
        ("kind: causal-lm", "kind: causal"),
        ("actors: auto", "actors: 0"),
        ("column: hhem_score, ", ""),
    ],
)
def test_what_is_wrong_is_found(validator, old, new):
    assert old in SPEC
    assert list(validator.iter_errors(yaml.safe_load(SPEC.replace(old, new))))


def keys_of(schema) -> set[str]:
    if isinstance(schema, dict):
        own = set(schema.get("properties", {})) if isinstance(schema.get("properties"), dict) else set()
        return own.union(*(keys_of(value) for value in schema.values()))
    return set().union(*(keys_of(value) for value in schema)) if isinstance(schema, list) else set()


def test_the_page_about_specs_names_every_key():
    page = (Path(__file__).parents[3] / "docs" / "spec.md").read_text(encoding="utf-8")
    assert sorted(key for key in keys_of(spec_schema({})) if f"`{key}`" not in page) == []
