"""Vision-language models (LLaVA, Qwen-VL, Idefics, PaliGemma families): images and a prompt in, text out.

The checkpoint's own processor prepares images and lays their tokens into the prompt; nothing is ever
cut: a prompt above the limit fails its row. Images are prepared twice, once to know a row's tokens and
once to run it, so that no more than one batch of pixels is held. Knows one checkpoint and one template;
does not plan batches. Callers: `loading` makes it, `execution` runs it. Imports torch.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from halluc_ray.config import ImageTextSystem
from halluc_ray.errors import ModelError, SpecError
from halluc_ray.models.generation import TextGeneration
from halluc_ray.models.image_prompts import ImagePrompter
from halluc_ray.models.limits import longest_input, prompt_limit
from halluc_ray.models.padding import pad
from halluc_ray.models.pictures import black_like, decode_all
from halluc_ray.models.processors import load_processor
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.models.rendering import refuse_doubled_bos
from halluc_ray.records import Sample

_NOT_READ = ("labels",)
_PROBE_SIZE = (64, 48)


class ImageTextLM:
    """A vision-language model, loaded.

    Attributes:
        draws: answers per sample.
    """

    def __init__(self, system: ImageTextSystem, *, folder: Path, network: Any, device: str) -> None:
        """Put a loaded network beside the processor of a local folder, and try both on a small image.

        Raises:
            ModelError: the folder holds no such model, or its processor can't prepare an image.
            SpecError: template, chat or limits don't fit the checkpoint.
        """
        self._system = system
        self.draws = system.decoding.samples
        self._processor = load_processor(folder)
        self._tokenizer = self._processor.tokenizer
        self._prompter = ImagePrompter(system, self._processor)
        self._network = network
        self._device = device
        self._generation = TextGeneration(
            system.decoding, network=network, tokenizer=self._tokenizer, device=device, reasoning=system.reasoning
        )
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.convert_ids_to_tokens(self._generation.pad_token)
        self._added = frozenset(self._tokenizer.added_tokens_decoder)
        self._limit = prompt_limit(system, positions=longest_input(network, self._tokenizer))
        self._try(folder)

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Render, prepare the images, tokenise; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that the template reads, an image can't be decoded, or the
                prompt is above the limit.
        """
        return [row for sample in samples for row in self._draws_of(sample, self._prompter.text(sample))]

    def cost(self, encoded: Encoded) -> int:
        """Tokens of the prompt, those of its images included, and of the longest continuation."""
        return len(encoded.tokens) + self._system.decoding.max_new_tokens

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """Continuations of one batch; greedy at temperature 0.

        Shapes: B rows, T prompt tokens padded on the left.

        Raises:
            UnusableRow: a row's scores are not finite.
            OutOfMemory: retryable with a smaller budget.
        """
        prepared = self._prepared([row.text for row in batch], [decode_all(row.images) for row in batch])
        ids_BT, mask_BT = pad([row.tokens for row in batch], value=self._generation.pad_token, side="left")
        if prepared["input_ids"].shape != ids_BT.shape:
            raise RuntimeError(
                f"the processor made {tuple(prepared['input_ids'].shape)} tokens of a batch of {tuple(ids_BT.shape)}"
            )
        inputs = {name: self._as_computed(tensor) for name, tensor in prepared.items()}
        inputs |= {"input_ids": ids_BT, "attention_mask": mask_BT}
        return self._generation.answers(batch, inputs, num_before=ids_BT.shape[1])

    def blank(self, encoded: Encoded) -> Encoded:
        """Black images of the same sizes; their tokens stay, words become padding; noise of no sample's."""
        filler = self._generation.pad_token
        tokens = tuple(token if token in self._added else filler for token in encoded.tokens)
        return replace(encoded, id="", tokens=tokens, images=tuple(black_like(image) for image in encoded.images))

    def close(self) -> None:
        """Free the device."""
        del self._network, self._generation
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _prepared(self, texts: list[str], images: list[list[Image.Image]]) -> dict[str, torch.Tensor]:
        """What the processor makes of rows; special tokens are added where the text does not begin with one.

        So does transformers for processors: some chat templates (LLaVA 1.5) leave that token to the tokenizer.
        """
        begins = bool(self._tokenizer.bos_token) and texts[0].startswith(self._tokenizer.bos_token)
        made = self._processor(
            text=texts,
            images=images,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            **({"add_special_tokens": False} if begins and self._system.chat else {}),
        )
        return {name: tensor for name, tensor in made.items() if name not in _NOT_READ}

    def _as_computed(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._network.dtype) if tensor.is_floating_point() else tensor

    def _draws_of(self, sample: Sample, text: str) -> Iterator[Encoded]:
        ids = self._prepared([text], [decode_all(sample.images)])["input_ids"][0].tolist()
        refuse_doubled_bos(ids, self._tokenizer)
        if len(ids) > self._limit:
            raise UnusableRow("prompt_too_long", f"{len(ids)} tokens, those of images included; at most {self._limit}")
        for draw in range(self.draws):
            yield Encoded(sample.row, draw, sample.id, tuple(ids), text=text, images=sample.images)

    def _try(self, folder: Path) -> None:
        image = io.BytesIO()
        Image.new("RGB", _PROBE_SIZE).save(image, "PNG")
        try:
            self.encode([self._prompter.nothing_said(image.getvalue())])
        except UnusableRow as error:
            raise SpecError(
                f"systems[{self._system.name}]: a row of one image and next to no text can't be run ({error.detail}); "
                "change template, system, shots or max_input_tokens"
            ) from error
        except (ValueError, TypeError, RuntimeError, LookupError, AttributeError, ImportError) as error:
            raise ModelError(
                f"checkpoint {folder}: {type(self._processor).__name__} can't prepare an image ({error}); its "
                "processor files and its tokenizer don't belong together"
            ) from error
