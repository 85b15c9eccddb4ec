"""The demo's inputs: a small real language model, a corpus of facts, and the spec that joins them.

Knows which model and which facts; the run itself is an ordinary run of the spec written here.
"""

from __future__ import annotations

from pathlib import Path

import yaml


def prepare_demo(folder: Path, *, limit: int) -> Path:
    """Write corpus and spec.

    Args:
        folder: where they go; the runs' output lies there too.
        limit: questions to ask, a fair mix of all relations.

    Returns:
        Path of the spec.

    Raises:
        InputError: the model's package is not installed.
    """
    from halluc_ray.corpora.facts import build_facts
    from halluc_ray.models.smollm2 import ensure_smollm2

    checkpoint = ensure_smollm2()
    corpus = build_facts(folder / "corpus", limit=limit)
    spec = {
        "corpus": {
            "uri": str(corpus.parquet_path),
            "columns": {"id": "id", "prompt": "question", "reference": "answers"},
            "cluster": "subject",
        },
        "systems": [
            {
                "name": "smollm2-135m",
                "kind": "causal-lm",
                "checkpoint": str(checkpoint),
                "template": "{prompt} Answer with the name only.",
                "chat": True,
                "max_input_tokens": 128,
                "decoding": {"max_new_tokens": 24, "temperature": 0, "stop": ["\n"]},
            }
        ],
        "indicators": [{"kind": "answer_mismatch", "mode": "contains"}],
        "slices": [["lang", "relation"], "relation", "lang"],
        "output": str(folder),
        "engine": {"shard_rows": 50},
    }
    path = folder / "demo.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path
