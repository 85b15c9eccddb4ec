"""What one system would be told about one row: the prompt as its tokenizer sees it, or the request.

Knows kinds of systems; runs nothing. Called by the preview. Imports transformers when a prompt of a
local model is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from halluc_ray.config import (
    CausalSystem,
    ChoicesSystem,
    Columns,
    EndpointSystem,
    ImageTextSystem,
    RecordedSystem,
    Seq2SeqSystem,
    Store,
)
from halluc_ray.models import prompts
from halluc_ray.models.endpoint.requests import RequestWriter
from halluc_ray.models.prompting import Prompter
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.protocol import Encoded
from halluc_ray.models.visible import Piece, PieceKind, pieces_of
from halluc_ray.records import Sample
from halluc_ray.wiring.generators import Generator, checkpoint_folder
from halluc_ray.wiring.inputs import templates
from halluc_ray.wiring.systems import ResolvedSystem


@dataclass(frozen=True, slots=True)
class ShownPrompt:
    """A prompt, made visible.

    Attributes:
        pieces: what is said, in order; empty for a recorded answer or where the row can't be used.
        token_ids: as the model is fed them; empty where no tokenizer was asked.
        num_cut: tokens that truncation takes away.
        request: body of the request, of an endpoint.
        problem: why the row can't be used; None where it can.
    """

    pieces: tuple[Piece, ...] = ()
    token_ids: tuple[int, ...] = ()
    num_cut: int = 0
    request: Mapping[str, Any] | None = None
    problem: str | None = None


class PromptView:
    """Shows the prompts of one system."""

    def __init__(self, resolved: ResolvedSystem, store: Store, generator: Generator | None) -> None:
        """Load the tokenizer, where there is one.

        Args:
            resolved: the system.
            store: how its checkpoint's store is reached.
            generator: the loaded model, which tells what it cuts; None: prompts are shown whole.

        Raises:
            SpecError, InputError, ModelError: the system would be refused.
        """
        self._system = resolved.spec
        self._generator = generator
        self._tokenizer: Any = None
        self._renderer: Any = None
        if isinstance(self._system, RecordedSystem | EndpointSystem):
            return
        from halluc_ray.models.pretrained import load_tokenizer

        self._tokenizer = load_tokenizer(checkpoint_folder(resolved, store), fast=False)
        if isinstance(self._system, CausalSystem | Seq2SeqSystem | ChoicesSystem):
            from halluc_ray.models.rendering import Renderer

            self._renderer = Renderer(self._system, self._tokenizer)

    def show(self, sample: Sample) -> ShownPrompt:
        """The prompt of one sample."""
        try:
            return self._shown(sample)
        except UnusableRow as error:
            return ShownPrompt(problem=str(error))

    def _shown(self, sample: Sample) -> ShownPrompt:
        if isinstance(self._system, RecordedSystem):
            return ShownPrompt()
        if isinstance(self._system, EndpointSystem):
            return ShownPrompt(request=RequestWriter(self._system).body(sample, 0))
        fed = self._fed(sample)
        if self._renderer is not None:
            [whole] = self._renderer.tokens(self._renderer.texts([sample]))
            kept = whole if fed is None else fed.tokens
            num_cut = max(len(whole) - len(kept), 0)
            return ShownPrompt(tuple(pieces_of(self._tokenizer, kept, whole=whole)), tuple(kept), num_cut)
        if fed is not None:
            pieces = [pieces_of(self._tokenizer, ids) for ids in (fed.tokens, fed.pair) if ids]
            parted = [piece for text in pieces for piece in (*text, Piece(PieceKind.TEXT, "\n"))]
            return ShownPrompt(tuple(parted[:-1]), fed.tokens + fed.pair, self._num_cut(sample, fed))
        return ShownPrompt(tuple(Piece(PieceKind.TEXT, text) for text in self._texts(sample)))

    def _fed(self, sample: Sample) -> Encoded | None:
        """What the loaded model is given for the row's first draw."""
        return None if self._generator is None else self._generator.encode([sample])[0]

    def _num_cut(self, sample: Sample, fed: Encoded) -> int:
        """Tokens that a classifier's or a matcher's texts lost; a pair of segments is cut as one."""
        if not fed.truncated:
            return 0
        texts = self._filled(sample)
        read = [[text] for text in texts] if fed.pair else [texts]
        num_whole = sum(len(self._tokenizer(*together, verbose=False)["input_ids"]) for together in read)
        return num_whole - len(fed.tokens) - len(fed.pair)

    def _texts(self, sample: Sample) -> list[str]:
        if isinstance(self._system, ImageTextSystem):
            prompter = Prompter(self._system)
            sample = replace(sample, fields={**sample.fields, "image": "{image}" * len(sample.images)})
            if self._system.chat:
                return [f"{turn.role}: {turn.content}\n" for turn in prompter.turns(sample)]
            return [prompter.text(sample)]
        return [f"{text}\n" for text in self._filled(sample)]

    def _filled(self, sample: Sample) -> list[str]:
        """The system's templates, filled."""
        return [prompts.fill_row(prompts.parse(text), sample) for _, text in templates(self._system, Columns())]
