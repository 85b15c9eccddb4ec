"""A causal language model that rates given options: log-likelihood of each after the row's prompt.

Prompt and prompt + option are tokenised as wholes, since a tokenizer may merge across the border. What
is rated of every option of a row starts at the same token: the first where any of them departs from the
prompt alone. So all are conditioned on the same tokens and their numbers compare, even where only some of
them merge; where none does, this is the option's own tokens, as in lm-evaluation-harness.

Rows are padded on the right, where a causal network can't look: any architecture numbers positions
rightly. Knows one checkpoint and one template; no truths. Callers: `loading`, `execution`. Imports torch.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from halluc_ray.config import ChoicesSystem
from halluc_ray.models import prompts
from halluc_ray.models.batches import plan_batches
from halluc_ray.models.faults import device_faults
from halluc_ray.models.limits import keep_end, longest_input
from halluc_ray.models.padding import pad, pad_token
from halluc_ray.models.pretrained import load_tokenizer
from halluc_ray.models.protocol import Encoded, OptionScore, Output
from halluc_ray.models.rendering import Renderer
from halluc_ray.records import Sample
from halluc_ray.records.options import likelihood


class _Rated(NamedTuple):
    """One option to run: the context that it shares with its row's others, and its own tokens."""

    context: tuple[int, ...]
    continuation: tuple[int, ...]

    @property
    def fed(self) -> tuple[int, ...]:
        """What the network reads: nothing is predicted after the last token."""
        return self.context + self.continuation[:-1]


class ChoiceRater:
    """A causal language model that chooses among options, loaded.

    Attributes:
        draws: 1; a row has one best option.
    """

    draws = 1

    def __init__(self, system: ChoicesSystem, *, folder: Path, network: Any, device: str, token_budget: int) -> None:
        """Put a loaded network beside the tokenizer of a local folder.

        Args:
            system: its section of the spec.
            folder: the checkpoint.
            network: loaded from it.
            device: that it is on.
            token_budget: most tokens of one forward pass, padding included.

        Raises:
            ModelError: the folder holds no tokenizer.
            SpecError: template or chat don't fit the checkpoint.
        """
        self._choose_by = system.choose_by
        self._option = prompts.parse(system.option_template, where=f"systems[{system.name}].option_template")
        self._tokenizer = load_tokenizer(folder)
        self._renderer = Renderer(system, self._tokenizer)
        self._network = network
        self._device = device
        self._token_budget = token_budget
        self._limit = min(system.max_input_tokens, longest_input(self._network, self._tokenizer))
        self._renderer.check_room(self._limit)
        self._keeps_logits = "logits_to_keep" in inspect.signature(self._network.forward).parameters
        self._pad_token = pad_token(self._tokenizer.pad_token_id, self._tokenizer.eos_token_id)

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Tokenise each sample's prompt alone and before each of its options; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks what the template reads, has fewer than two options, or an option
                that is empty or does not fit.
        """
        texts: list[str] = []
        for sample, prompt in zip(samples, self._renderer.texts(samples), strict=True):
            _check_options(sample.options)
            texts += [prompt, *(prompt + prompts.fill(self._option, {"option": option}) for option in sample.options)]
        coded = iter(self._renderer.tokens(texts) if texts else [])
        return [self._encoded(sample, next(coded), [next(coded) for _ in sample.options]) for sample in samples]

    def cost(self, encoded: Encoded) -> int:
        """Tokens of all options with their context, padded to the longest."""
        longest = max(map(len, encoded.continuations))
        return len(encoded.continuations) * (len(encoded.tokens) + longest - 1)

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """The likeliest option of each row, and what every option was rated.

        Options of the whole batch are cut anew, by their own lengths, into passes within the budget.
        Logarithms of probabilities are taken and added up in float64 of the network's logits.

        Raises:
            UnusableRow: a row's logits are not finite.
            OutOfMemory: retryable with a smaller budget.
        """
        rated = [_Rated(row.tokens, continuation) for row in batch for continuation in row.continuations]
        budget = min(self._token_budget, len(batch) * max(map(self.cost, batch)))
        logprobs = [0.0] * len(rated)
        for positions in plan_batches([len(option.fed) for option in rated], token_budget=budget):
            for at, logprob in zip(positions, self._logprobs([rated[at] for at in positions]), strict=True):
                logprobs[at] = logprob
        found = iter(logprobs)
        return [self._output(row, [next(found) for _ in row.continuations]) for row in batch]

    def blank(self, encoded: Encoded) -> Encoded:
        """As many padding tokens in the same places."""
        nothing = tuple((self._pad_token,) * len(tokens) for tokens in encoded.continuations)
        return replace(encoded, tokens=(self._pad_token,) * len(encoded.tokens), continuations=nothing)

    def close(self) -> None:
        """Free the device."""
        del self._network
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _encoded(self, sample: Sample, prompt: list[int], wholes: Sequence[list[int]]) -> Encoded:
        shared = min(_shared(prompt, whole) for whole in wholes)
        if not shared:
            raise prompts.UnusableRow("empty_prompt", "no token of the prompt stands before every option")
        continuations = tuple(tuple(whole[shared:]) for whole in wholes)
        if not all(continuations):
            raise prompts.UnusableRow("empty_option", "an option has no token of its own")
        room = self._limit + 1 - max(map(len, continuations))
        if room < 1 + (shared > 1):
            raise prompts.UnusableRow(
                "option_too_long", f"an option leaves no room for a prompt in {self._limit} tokens"
            )
        return Encoded(
            sample.row,
            0,
            sample.id,
            keep_end(prompt[:shared], limit=room, bos=self._tokenizer.bos_token_id),
            truncated=shared > room,
            options=sample.options,
            continuations=continuations,
        )

    def _logprobs(self, options: Sequence[_Rated]) -> list[float]:
        """Log-probability of each option's tokens after its context, in one pass.

        Shapes: B options, T fed tokens padded on the right, K last positions whose logits are needed.
        """
        ids_BT, mask_BT = pad([option.fed for option in options], value=self._pad_token, side="right")
        first = min(len(option.context) for option in options) - 1
        inputs = {"input_ids": ids_BT.to(self._device), "attention_mask": mask_BT.to(self._device)}
        keep = {"logits_to_keep": ids_BT.shape[1] - first} if self._keeps_logits else {}
        with device_faults(*ids_BT.shape), torch.inference_mode():
            logits_BKV = self._network(**inputs, use_cache=False, **keep).logits
            start = ids_BT.shape[1] - logits_BKV.shape[1]
            found = [_logprob(row_KV, option, start) for row_KV, option in zip(logits_BKV, options, strict=True)]
            totals: list[float] = torch.stack(found).tolist()
        if any(total != total for total in totals):
            raise prompts.UnusableRow("non_finite_logits", f"the model's logits overflow in {self._network.dtype}")
        return totals

    def _output(self, row: Encoded, logprobs: Sequence[float]) -> Output:
        scores = tuple(
            OptionScore(text, logprob, len(tokens))
            for text, logprob, tokens in zip(row.options, logprobs, row.continuations, strict=True)
        )
        compared = [likelihood(s.text, logprob=s.logprob, num_tokens=s.num_tokens, by=self._choose_by) for s in scores]
        best = max(compared)
        chosen = scores[compared.index(best)]
        finish = "tie" if compared.count(best) > 1 else "choice"
        return Output(chosen.text, finish, logprob=chosen.logprob, option_scores=scores)


def _check_options(options: Sequence[str]) -> None:
    if len(options) < 2:
        reason = "one_option" if options else "no_options"
        raise prompts.UnusableRow(reason, f"the row has {len(options)} option(s); a choice needs two")
    if not all(options):
        raise prompts.UnusableRow("empty_option", "an option is an empty text")


def _shared(prompt: Sequence[int], whole: Sequence[int]) -> int:
    """Tokens that both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt, whole, strict=False)))


def _logprob(logits: torch.Tensor, option: _Rated, start: int) -> torch.Tensor:
    """Sum of the log-probabilities of the option's tokens; NaN where the logits give no distribution.

    Shapes: K positions x V words, the first of them `start`; N tokens of the option.
    """
    before = len(option.context) - 1 - start
    rows_NV = logits[before : before + len(option.continuation)].double()
    tokens_N1 = torch.tensor(option.continuation, device=rows_NV.device).unsqueeze(1)
    normaliser_N = rows_NV.logsumexp(-1)
    logprob_N = rows_NV.gather(1, tokens_N1).squeeze(1) - normaliser_N
    return torch.where(normaliser_N.isfinite(), logprob_N, torch.nan).sum()
