"""A causal language model on vLLM: prompts in, continuations out, scheduled by its engine.

Batches are the engine's affair: rows cost nothing here, so that a shard goes to it in one call, one
request per draw with a seed of its own. Prompts are cut and answers read as on transformers. Which
bytes come out may differ from run to run: such a system is of class `scheduled`. Knows vLLM's offline
interface (`LLM`, `SamplingParams`), imported here alone; plans nothing. Caller: `loading`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, GenerationConfig

from halluc_ray.config import CausalSystem
from halluc_ray.errors import ModelError
from halluc_ray.models.answers import AnswerReader, end_tokens
from halluc_ray.models.causal_prompts import CausalPrompts
from halluc_ray.models.limits import most_tokens
from halluc_ray.models.pretrained import load_tokenizer
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.models.sampling import unit_key

_SEEDS = 2**63
_LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)


class VllmLM:
    """A decoder-only language model in a vLLM engine of this process.

    Attributes:
        draws: answers per sample.
    """

    def __init__(self, system: CausalSystem, *, folder: Path, dtype: str) -> None:
        """Start an engine over the GPUs that this process sees.

        Raises:
            ModelError: vLLM is not installed here, or can't load the folder.
            SpecError: template, chat or limits don't fit the checkpoint.
        """
        try:
            import vllm
        except ImportError as error:
            raise ModelError(
                f"systems[{system.name}].backend: vllm can't be imported on this machine ({error}); "
                "pip install 'halluc-ray[vllm]', or set backend: transformers"
            ) from error
        self.draws = system.decoding.samples
        tokenizer = load_tokenizer(folder)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).get_text_config()
        self._prompts = CausalPrompts(system, tokenizer=tokenizer, positions=most_tokens(config, tokenizer))
        ends = end_tokens(config.eos_token_id, tokenizer.eos_token_id, _generation_ends(folder))
        self._filler = next(iter(sorted(ends)), 0)
        self._reader = AnswerReader(system.decoding, tokenizer=tokenizer, ends=ends, reasoning=system.reasoning)
        self._sampling_params = vllm.SamplingParams
        self._options = sampling_options(system, ends=ends)
        self._seed = system.decoding.seed
        try:
            self._engine = vllm.LLM(
                model=str(folder),
                **engine_options(dtype, limit=self._prompts.limit, system=system, gpus=torch.cuda.device_count()),
            )
        except _LOAD_ERRORS as error:
            raise ModelError(f"checkpoint {folder}: vLLM can't load it ({error}); set backend: transformers") from error

    def encode(self, samples: Sequence[Any]) -> list[Encoded]:
        """Fill, wrap and tokenise; see `Model.encode`."""
        return self._prompts.encode(samples)

    def cost(self, encoded: Encoded) -> int:
        """Nothing: the engine makes its own batches."""
        return 0

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """Continuations of a shard's rows, in order."""
        results = self._engine.generate(
            [{"prompt_token_ids": list(row.tokens)} for row in batch],
            [self._sampling_params(**self._options, seed=self._seed_of(row)) for row in batch],
            use_tqdm=False,
        )
        return [self._output(row, result.outputs[0]) for row, result in zip(batch, results, strict=True)]

    def blank(self, encoded: Encoded) -> Encoded:
        """As many end-of-sequence tokens, drawing noise of no sample's."""
        return replace(encoded, id="", tokens=(self._filler,) * len(encoded.tokens))

    def close(self) -> None:
        """Free the device."""
        del self._engine
        torch.cuda.empty_cache()

    def _seed_of(self, row: Encoded) -> int:
        return unit_key(seed=self._seed, sample_id=row.id, draw=row.draw) % _SEEDS

    def _output(self, row: Encoded, completion: Any) -> Output:
        output = self._reader.output(list(completion.token_ids), opened=self._reader.opened_by(row.tokens))
        return replace(output, finish="stop") if completion.finish_reason == "stop" else output


def sampling_options(system: CausalSystem, *, ends: frozenset[int]) -> dict[str, Any]:
    """What `vllm.SamplingParams` is given for each draw, the seed left out.

    A stop string inside a reasoning trace is no end, and vLLM can't tell: with `reasoning` the answer is
    cut afterwards.
    """
    decoding = system.decoding
    stops = [] if system.reasoning else list(decoding.stop)
    return {
        "n": 1,
        "max_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "stop": stops,
        "stop_token_ids": sorted(ends),
        "detokenize": bool(stops),
        "skip_special_tokens": True,
    }


def engine_options(dtype: str, *, limit: int, system: CausalSystem, gpus: int) -> dict[str, Any]:
    """What `vllm.LLM` is given beside the checkpoint: no code from it, and none of its own decoding settings."""
    options: dict[str, Any] = {
        "dtype": dtype,
        "max_model_len": limit + system.decoding.max_new_tokens,
        "tensor_parallel_size": max(1, gpus),
        "generation_config": "vllm",
        "load_format": "safetensors",
        "trust_remote_code": False,
        "seed": 0,
    }
    return options | ({"distributed_executor_backend": "mp"} if gpus > 1 else {})


def _generation_ends(folder: Path) -> int | list[int] | None:
    if not (folder / "generation_config.json").exists():
        return None
    ends: int | list[int] | None = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    return ends
