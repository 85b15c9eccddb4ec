import shutil

import pytest

from halluc_ray.errors import ModelError
from halluc_ray.models.pretrained import load_tokenizer


def test_a_checkpoint_without_vocabulary_gets_no_invented_one(gpt2, tmp_path):
    folder = shutil.copytree(gpt2, tmp_path / "checkpoint")
    assert load_tokenizer(folder).is_fast
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"holds no vocabulary.*copy the tokenizer files"):
        load_tokenizer(folder)
