"""Systems resolved without a model: labels, roles, and what is refused."""

import pytest

from halluc_ray.config import RunSpec, Store
from halluc_ray.errors import InputError, SpecError
from halluc_ray.wiring.generators import load_generator
from halluc_ray.wiring.systems import resolve_system
from tests.unit.engine.checkpoints import save_checkpoint


@pytest.fixture
def resolve(tmp_path):
    folder = save_checkpoint(tmp_path / "model", labels={"1": "yes", "0": "no"})

    def made(*, mapped=None, **options):
        system = {"kind": "sequence-classification", "name": "k", "checkpoint": str(folder)} | options
        corpus = {"uri": "c", "columns": mapped or {"id": "i", "prompt": "q", "response": "a"}}
        indicators = [{"kind": "label_mismatch"}]
        spec = RunSpec.model_validate({"corpus": corpus, "systems": [system], "indicators": indicators})
        return resolve_system(spec.systems[0], spec, device="cpu", accelerator=None)

    return made


def test_labels_are_the_checkpoints_or_the_specs(resolve):
    assert list(resolve().labels.items()) == [("0", "no"), ("1", "yes")]
    assert resolve(labels={1: "good", 0: "bad"}).labels == {"0": "bad", "1": "good"}


def test_same_labels_spelled_out_are_the_same_work(resolve):
    assert resolve(labels={1: "yes", 0: "no"}).settings == resolve().settings


@pytest.mark.parametrize("labels", [{0: "no"}, {0: "no", 1: "yes", 2: "more"}, {1: "no", 2: "yes"}])
def test_labels_that_do_not_fit_are_refused(resolve, labels):
    with pytest.raises(SpecError, match=r"systems\[k\].labels: names the ids \[.*\], the checkpoint has \[0, 1\]"):
        resolve(labels=labels)


@pytest.mark.parametrize("labels", [{"1": "no", "2": "yes"}, {"0": "no", "2": "yes"}])
def test_a_checkpoint_whose_classes_are_no_choice_is_refused(resolve, tmp_path, labels):
    folder = save_checkpoint(tmp_path / "other", labels=labels)
    with pytest.raises(InputError, match=r"systems\[k\].checkpoint: .*/other has the classes \[.*\]; a classifier"):
        resolve(checkpoint=str(folder))


def test_roles_are_those_of_the_templates(resolve):
    assert resolve().roles == {"prompt"}
    assert resolve(template="{prompt} {id}", pair_template="{response}").roles == {"prompt", "id", "response"}


def test_a_placeholder_that_is_no_mapped_role_is_a_corpus_column(resolve):
    found = resolve(template="{q} {country}", pair_template="{context}")
    assert (found.roles, found.columns) == (set(), ("context", "country", "q"))


def test_an_id_that_is_not_mapped_is_a_corpus_column_too(resolve):
    found = resolve(template="{id}: {q}", mapped={"response": "a"})
    assert (found.roles, found.columns) == (set(), ("id", "q"))


def test_a_malformed_template_is_refused(resolve):
    with pytest.raises(SpecError, match=r"systems\[k\].pair_template: '\{' at character 0"):
        resolve(pair_template="{promt")


@pytest.mark.parametrize("checkpoint", [{}, {"checkpoint": "s3://bucket/model"}])
def test_a_revision_of_what_has_none_is_refused(resolve, checkpoint):
    with pytest.raises(SpecError, match=r"systems\[k\]\.revision: 'v2' has no effect on .*model, which is no hub id"):
        resolve(revision="v2", **checkpoint)


def test_a_revision_of_a_hub_id_is_asked_of_the_hub(resolve, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"'nobody/nothing' \(revision 'v2'\)"):
        resolve(checkpoint="nobody/nothing", revision="v2")


def test_a_checkpoint_that_is_not_there(resolve, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no config.json there"):
        resolve(checkpoint=str(tmp_path / "empty"))


@pytest.mark.parametrize("written", [{}, {"temperature": 0}, {"max_new_tokens": 9}, {"stop": ["."]}])
def test_a_seed_says_nothing_of_greedy_answers(resolve, written):
    def settings(**decoding):
        return resolve(kind="causal-lm", decoding=written | decoding).settings

    assert settings(seed=7) == settings()
    assert settings(seed=7, temperature=0.5) != settings(temperature=0.5)


def test_settings_hold_no_path_and_no_default(resolve, tmp_path):
    settings = resolve(max_input_tokens=512).settings
    assert set(settings) == {"checkpoint", "labels"}
    assert str(tmp_path) not in str(settings)


def test_recorded_answers_are_read_and_not_generated():
    data = {
        "corpus": {"uri": "c", "columns": {"response": "a", "context": "c"}},
        "systems": [{"kind": "recorded", "name": "one"}, {"kind": "recorded", "name_from": "model"}],
        "indicators": [{"kind": "label_mismatch"}],
    }
    spec = RunSpec.model_validate(data)
    one, many = (resolve_system(system, spec, device="cpu", accelerator=None) for system in spec.systems)
    assert (one.roles, one.settings, one.numerics, one.name_from) == ({"response"}, {}, {}, None)
    assert (many.settings, many.name_from) == ({"name_from": "model"}, "model")
    with pytest.raises(TypeError, match="recorded loads no model"):
        load_generator(one, Store(), bitwise=True)
