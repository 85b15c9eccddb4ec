"""A checkpoint's folder for plans: config, tokenizer's name and one tensor. No model can run it."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def save_checkpoint(
    folder: Path, *, labels: dict[str, str] | None = None, weight: float = 0.0, chat: bool = True
) -> Path:
    folder.mkdir(parents=True)
    config = {"model_type": "bert" if labels else "gpt2"} | ({"id2label": labels} if labels else {})
    (folder / "config.json").write_text(json.dumps(config))
    if chat:
        (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    save_file({"w": np.full(3, weight, dtype=np.float32)}, folder / "model.safetensors")
    return folder
