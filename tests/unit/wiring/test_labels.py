import pytest
from transformers import BertConfig

from halluc_ray.config import RunSpec
from halluc_ray.errors import InputError
from halluc_ray.wiring.systems import resolve_system
from tests.unit.engine.checkpoints import save_checkpoint


@pytest.fixture
def resolve(tmp_path):
    def made(config: BertConfig):
        folder = save_checkpoint(tmp_path / "model", labels={"0": "a", "1": "b"})
        config.save_pretrained(folder)
        system = {"kind": "sequence-classification", "name": "k", "checkpoint": str(folder)}
        corpus = {"uri": "c", "columns": {"prompt": "q", "reference": "a"}}
        indicators = [{"kind": "label_mismatch"}]
        spec = RunSpec.model_validate({"corpus": corpus, "systems": [system], "indicators": indicators})
        return resolve_system(spec.systems[0], spec, device="cpu", accelerator=None)

    return made


def test_many_labels_at_once_are_refused(resolve):
    with pytest.raises(
        InputError, match=r"systems\[k\]\.checkpoint: .* multi_label_classification: each of its 28 labels"
    ):
        resolve(BertConfig(num_labels=28, problem_type="multi_label_classification"))


@pytest.mark.parametrize("problem_type", [None, "regression"])
def test_a_number_is_no_label(resolve, problem_type):
    with pytest.raises(InputError, match=r"has a head of 1 output.*: its answer is a number, no label"):
        resolve(BertConfig(num_labels=1, problem_type=problem_type))


def test_a_regression_with_several_outputs_is_none_either(resolve):
    with pytest.raises(InputError, match=r"a head of 3 outputs and problem_type regression"):
        resolve(BertConfig(num_labels=3, problem_type="regression"))


def test_one_label_of_several_is_what_a_classifier_chooses(resolve):
    config = BertConfig(num_labels=3, problem_type="single_label_classification")
    assert resolve(config).labels == {str(index): name for index, name in config.id2label.items()}
