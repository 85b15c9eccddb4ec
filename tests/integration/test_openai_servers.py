"""A real OpenAI-compatible server (transformers serve) with a tiny model, held to a plain generate loop."""

import importlib.util
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from halluc_ray.config import EndpointSystem
from halluc_ray.models.endpoint.generator import EndpointGenerator
from halluc_ray.records import Sample
from halluc_ray.records.schemas import GENERATIONS
from infra.object_store.server import free_ports

NEEDS = ("fastapi", "uvicorn", "openai")
QUESTIONS = ["Who?", "What is 1 plus 1?", "Name a river that runs through Vienna.", "A"]
NEW_TOKENS = 12
CHAT = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + ' ' }}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


class NothingKept:
    def recall(self) -> Any:
        return GENERATIONS.empty_table()

    def keep(self, units: Any) -> None:
        pass

    def spent(self, cost: Any) -> float:
        return 0.0


@dataclass
class Served:
    url: str
    folder: Path


def save_model(folder: Path) -> None:
    """A tiny random Llama over printable ASCII, a token each."""
    letters = [chr(code) for code in range(32, 127)]
    core = Tokenizer(BPE({word: k for k, word in enumerate(["<s>", "</s>", *letters])}, []))
    core.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(letters) + 2,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        initializer_range=0.6,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    network = LlamaForCausalLM(config)
    network.generation_config.do_sample = True  # the server samples only where the checkpoint does
    network.save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if missing := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        pytest.skip(f"transformers serve needs {', '.join(missing)}")
    folder, port = tmp_path_factory.mktemp("served") / "tiny", free_ports(1)[0]
    save_model(folder)
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder), "--device", "cpu"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = (folder.parent / "log").open("wb")
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=log, stderr=log
    )
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, (folder.parent / "log").read_text()
                time.sleep(0.25)
        yield Served(f"{url}/v1", folder)
    finally:
        server.kill()
        server.wait(10)
        log.close()


def said(served: Served, **options: Any) -> Any:
    base = {"kind": "endpoint", "name": "e", "url": served.url, "model": str(served.folder), "as_of": "1"}
    settings = {"template": "{prompt}", "timeout_s": 30, "decoding": {"max_new_tokens": NEW_TOKENS}}
    asking = EndpointGenerator(EndpointSystem.model_validate(base | settings | options), key=None)
    samples = [Sample(k, f"q{k}", {"prompt": question}) for k, question in enumerate(QUESTIONS)]
    try:
        return asking.generate(samples, [], kept=NothingKept()).table
    finally:
        asking.close()


def plain(served: Served, *, chat: bool) -> list[tuple[str, int, int]]:
    """Text, prompt tokens and new tokens of each question, greedily, one at a time."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(served.folder)
    network = LlamaForCausalLM.from_pretrained(served.folder).eval()
    found = []
    for question in QUESTIONS:
        turns = [{"role": "user", "content": question}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True) if chat else question
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            new = network.generate(ids, max_new_tokens=NEW_TOKENS, do_sample=False)[0, ids.shape[1] :]
        found.append((tokenizer.decode(new, skip_special_tokens=True), ids.shape[1], len(new)))
    return found


@pytest.mark.parametrize("api", ["chat", "completions"])
def test_greedy_answers_are_those_of_a_plain_loop(served: Served, api: str) -> None:
    table = said(served, api=api)
    assert table["failure"].null_count == len(QUESTIONS)
    columns = ("text", "num_prompt_tokens", "num_output_tokens")
    found = list(zip(*(table[name].to_pylist() for name in columns), strict=True))
    assert found == plain(served, chat=api == "chat")
    assert len({text for text, _, _ in found}) == len(QUESTIONS)
    assert set(table["finish"].to_pylist()) <= {"length", "stop"}


def test_draws_differ(served: Served) -> None:
    table = said(served, decoding={"max_new_tokens": NEW_TOKENS, "temperature": 1.5, "samples": 3})
    assert len(set(table["text"].to_pylist())) == 3 * len(QUESTIONS)
