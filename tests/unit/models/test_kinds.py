"""Kinds that a checkpoint's own config contradicts, with configs as transformers writes them."""

import json

import pytest

from halluc_ray.config import CausalSystem, ChoicesSystem, Seq2SeqSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.kinds import refuse_other_kind

from . import families

SYSTEMS = {
    "causal-lm": CausalSystem(kind="causal-lm", name="m", checkpoint="x"),
    "choices": ChoicesSystem(kind="choices", name="m", checkpoint="x"),
    "seq2seq-lm": Seq2SeqSystem(kind="seq2seq-lm", name="m", checkpoint="x"),
}
FAMILIES = [(name, make, "causal-lm") for name, make in families.CAUSAL.items()]
FAMILIES += [(name, make, "seq2seq-lm") for name, make in families.SEQ2SEQ.items()]


@pytest.mark.parametrize(("make", "right"), [rest for _, *rest in FAMILIES], ids=[name for name, *_ in FAMILIES])
def test_the_right_kind_is_named(tmp_path, make, right):
    network = make()
    network.config.architectures = [type(network).__name__]
    network.config.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for kind, system in SYSTEMS.items():
        if (kind == "seq2seq-lm") == (right == "seq2seq-lm"):
            refuse_other_kind(system, config, where="systems[m]")
        else:
            with pytest.raises(SpecError, match=rf"systems\[m\]\.kind: {kind}, .*set kind: {right}"):
                refuse_other_kind(system, config, where="systems[m]")


def test_a_config_that_says_nothing_is_left_to_loading():
    for system in SYSTEMS.values():
        refuse_other_kind(system, {"model_type": "new"}, where="systems[m]")
