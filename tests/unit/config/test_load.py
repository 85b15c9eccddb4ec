"""Specs that are right, and every way in which one can be wrong."""

from __future__ import annotations

import pytest

from halluc_ray.config import CausalSystem, load_spec, spec_digest
from halluc_ray.errors import SpecError

SPEC = """\
corpus:
  uri: corpora/news
  columns: {id: id, prompt: question, reference: answers}
  where: "lang = 'en'"
systems:
  - {name: m, kind: causal-lm, checkpoint: ckpt, decoding: {max_new_tokens: 24, temperature: 0, stop: []}}
  - {kind: recorded, name_from: model}
indicators:
  - {kind: answer_mismatch, mode: exact}
  - {name: hhem, kind: recorded_score, column: hhem_score, below: 5e-1, valid: is_valid}
slices: [model, lang, [model, lang]]
summaries: [{name: words, column: word_count, where: is_valid}]
"""


def load(text: str, *overrides: str):
    return load_spec(text, source="news.yaml", overrides=overrides)


def problems(text: str, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load(text, *overrides)
    return str(caught.value)


def test_a_spec():
    spec = load(SPEC)
    assert isinstance(spec.systems[0], CausalSystem)
    assert spec.systems[0].decoding.max_new_tokens == 24
    assert [indicator.name for indicator in spec.indicators] == ["answer_mismatch", "hhem"]
    assert spec.indicators[1].options == {"column": "hhem_score", "below": 0.5, "valid": "is_valid"}
    assert spec.slice_columns() == (("model",), ("lang",), ("model", "lang"))
    assert spec.output == "./out"


def test_overrides_are_yaml_at_a_path():
    spec = load(
        SPEC, "engine.actors=2", "systems.0.decoding.seed=3", "systems[0].name=x", "slices=[lang]", "output=s3://b/p=q"
    )
    assert (spec.engine.actors, spec.systems[0].decoding.seed, spec.systems[0].name) == (2, 3, "x")
    assert (spec.slices, spec.output) == (("lang",), "s3://b/p=q")


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("engine.actors", "path=value"),
        ("systems.2.name=x", "positions: 0 to 1"),
        ("systems.x=1", "no position"),
        ("output.x=1", "output: .* must be text"),
        ("corpus.uri.x=1", "nothing can be set below it"),
        ("engine.actor=2", r"engine.actor \(--set\): unknown key; did you mean 'actors'\?"),
        ("output=[", "--set output="),
    ],
)
def test_bad_overrides(override, named):
    with pytest.raises(SpecError, match=named):
        load(SPEC, override)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (
            "max_new_tokens: 24",
            "max_new_token: 24",
            "[0].decoding.max_new_token (line 6): unknown key; did you mean 'max_new_tokens'?",
        ),
        ("kind: causal-lm", "kind: causal_lm", 'systems[0].kind (line 6): "causal_lm" is not known; did'),
        ("temperature: 0, stop", "top_p: 0.9, stop", "systems[0].decoding (line 6): top_p: 0.9 has no effect at temp"),
        (
            "kind: causal-lm, ",
            "kind: causal-lm, system: Hm, ",
            "systems[0] (line 6): system has no effect",
        ),
        ("slices:", "engine: {gpus_per_actor: 1.5}\nslices:", "gpus_per_actor: 1.5 is no share of one GPU"),
        ("slices:", "engine: {device: gpu}\nslices:", "did you mean 'cuda'"),
        ("slices:", "engine: {gpus_per_actor: 0, device: cuda}\nslices:", "gives a cuda actor no GPU"),
        (
            "kind: causal-lm, ",
            "kind: causal-lm, shots: {fil: x}, ",
            "shots.fil (line 6): unknown key; did you mean 'fi",
        ),
        ("kind: causal-lm, ", "kind: causal-lm, shots: {count: 3}, ", "shots (line 6): set one of `file` (JSON Lines)"),
        ("kind: causal-lm, ", "kind: causal-lm, shots: x, ", 'systems[0].shots (line 6): "x" must be a list'),
        ("kind: causal-lm, ", "kind: causal-lm, shots: [{answer: x}], ", "shots[0].fields (line 6): required, but"),
        ("kind: causal-lm, ", "kind: causal-lm, reasoning: {tags: [<a>]}, ", "systems[0].reasoning.tags[0] (line 6)"),
        (
            "kind: recorded, ",
            "",
            "systems[1].kind (line 7): required, but missing. Allowed: causal-lm, choices, dual-enc",
        ),
        ("name: m, ", "", "systems[0].name (line 6): required, but missing"),
        ("max_new_tokens: 24", 'max_new_tokens: "24"', '"24" must be a valid integer'),
        ("max_new_tokens: 24", "max_new_tokens: true", "true must be a valid integer"),
        ("max_new_tokens: 24", "max_new_tokens: 0", "0 must be greater than 0"),
        ("name: m,", "name: no,", "false must be text (put it in quotes)"),
        ("kind: causal-lm, ", "kind: causal-lm, template: {prompt}, ", 'must be text (put it in quotes: "{prompt}")'),
        ("[model, lang, [model, lang]]", "[3]", "slices[0] (line 11): 3 must be text (put it in quotes), or a list"),
        ("slices: [model,", "slices: [model, model,", "slices[1]: ['model'] is empty or repeats"),
        ("name_from: model", "", "systems[1] (line 7): set one of `name`"),
        ("name: hhem", "name: answer_mismatch", "two are called 'answer_mismatch'"),
        ("lang = 'en'", "lang = ", 'corpus.where: "lang = " does not parse'.replace('"', "'")),
        ("where: is_valid", "where: f(x)", "summaries[0].where: `F(x)`: not allowed"),
        ("column: word_count,", "", "summaries[0] (line 12): set one of `column`"),
        ("column: word_count", "score: hhemm", "summaries[0].score: no indicator is called 'hhemm'"),
        ("systems:", "engine: {actors: some}\nsystems:", 'engine.actors (line 5): "some" must be a valid int'),
        ("systems:", "systems: []\nmodels:", "systems (line 5): must not be empty"),
        ("slices:", "slice:", "slice (line 11): unknown key; did you mean 'slices'?"),
        ("5e-1", ".nan", "line 10: .nan is no usable number"),
    ],
)
def test_what_is_wrong_is_named(old, new, named):
    assert old in SPEC
    assert named in problems(SPEC.replace(old, new))


def test_a_suite_in_place_of_a_spec():
    with pytest.raises(SpecError, match=r"night\.yaml is a suite, not a spec; give it to `halluc-ray nightly`"):
        load_spec("name: qa\nspecs: [qa.yaml]", source="night.yaml")


def test_every_problem_is_listed_at_once():
    message = problems("systems: [{kind: recorded}]\nindicators: 3\ncorpus: {url: x}\n")
    assert message.startswith("news.yaml is no valid spec, 4 problems:\n")
    for path in ("systems[0] ", "indicators ", "corpus.uri ", "corpus.url "):
        assert f"\n  {path}" in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (
            "corpus:\n\turi: x",
            "line 2, column 1: while scanning for the next token, found character '\\t' that cannot start any token",
        ),
        ("corpus: {uri: x", "line 1, column 16"),
        ("corpus: {}\ncorpus: {}", "line 2: key 'corpus' is given twice (first on line 1)"),
        ("a: {b: 1, b: 2}", "key 'b' is given twice"),
        ("no: 1", "line 1: the key no is read as no text; put it in quotes"),
        ("[1]: 1", "the key is read as no text"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a: *missing", "undefined alias"),
        ("a: &a [*a]", "expanded|nested"),
        ("", "a spec is a mapping"),
        ("- 1", "a spec is a mapping"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("[" * 5000, "nested too deeply"),
        ("x" * 1_000_001, "characters"),
        ("a: !!int x", "can't be read"),
        ("a: \x00", "news.yaml: "),
    ],
)
def test_text_that_is_no_yaml(text, named):
    assert any(part in problems(text) for part in named.split("|"))


def test_an_alias_bomb_is_refused_quickly():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    assert "aliases" in problems("\n".join(levels))


def test_aliases_and_merges_are_fine():
    text = SPEC.replace("decoding: {", "decoding: &d {") + "\n"
    merged = "  - {name: n, kind: causal-lm, checkpoint: c, decoding: {<<: *d, seed: 7}}\n"
    text = text.replace("  - {kind: recorded", merged + "  - {kind: recorded")
    assert load(text).systems[1].decoding.model_dump() == {**load(text).systems[0].decoding.model_dump(), "seed": 7}


def test_digest_is_of_what_is_said():
    digest = spec_digest(load(SPEC))
    assert spec_digest(load(SPEC + "\n# a comment\noutput: ./out\nmax_failed: 0.01\n")) == digest
    assert spec_digest(load(SPEC, "engine.actors=2", "store.endpoint=http://127.0.0.1:1")) == digest
    assert spec_digest(load(SPEC, "max_failed=0.02")) != digest
    assert spec_digest(load(SPEC, "indicators.1.below=0.4")) != digest
