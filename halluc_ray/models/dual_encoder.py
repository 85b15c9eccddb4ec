"""Image-text matchers (CLIP, SigLIP, Chinese-CLIP, ALIGN families): the cosine of a text and a row's images.

Of several images the mean of their cosines counts, so that frames that do not fit the text pull it
down. A text above the tokenizer's limit is cut at its end, and counted. Knows one checkpoint and one
template; does not plan batches. Callers: `loading` makes it, `execution` runs it. Imports torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import torch

from halluc_ray.config import DualEncoderSystem
from halluc_ray.errors import ModelError
from halluc_ray.models import prompts
from halluc_ray.models.cosine import cosines
from halluc_ray.models.encoder_texts import EncoderTexts
from halluc_ray.models.faults import device_faults
from halluc_ray.models.limits import longest_input
from halluc_ray.models.padding import pad, pad_token
from halluc_ray.models.pictures import black_like, decode, decode_all
from halluc_ray.models.processors import load_processor
from halluc_ray.models.protocol import Encoded, Output
from halluc_ray.records import Sample

_FULL_WIDTH = frozenset({"siglip", "siglip2"})
"""Families that pool a text's last place and were trained on texts padded to the full width, without a mask."""

_USUAL_PATCH = 16
_UNLIMITED = 10**9


class DualEncoder:
    """An image-text matcher, loaded.

    Attributes:
        draws: 1; a matcher has one answer.
    """

    draws = 1

    def __init__(self, system: DualEncoderSystem, *, folder: Path, network: Any, device: str) -> None:
        """Put a loaded network beside the processor of a local folder.

        Raises:
            ModelError: the folder holds no network with an embedding of texts and one of images.
            SpecError: the template is malformed.
        """
        if not (hasattr(network, "get_text_features") and hasattr(network, "get_image_features")):
            raise ModelError(
                f"checkpoint {folder}: {type(network).__name__} does not embed texts and images side by side; name a "
                "checkpoint of the CLIP family, or another kind"
            )
        self._template = prompts.parse(system.template, where=f"systems[{system.name}].template")
        processor = load_processor(folder)
        self._processor, self._tokenizer = processor, processor.tokenizer
        self._network = network
        self._device = device
        own = getattr(processor, "text_kwargs", None) or {}
        longest = min(longest_input(network, self._tokenizer), own.get("max_length") or _UNLIMITED)
        self._limit = min(system.max_input_tokens, longest)
        self._full_width = longest if network.config.model_type in _FULL_WIDTH else None
        text_config = network.config.get_text_config()
        self._pad_token = pad_token(self._tokenizer.pad_token_id, text_config.pad_token_id)
        self._texts = EncoderTexts(self._tokenizer, limit=self._limit, filler=self._pad_token)
        self._image_tokens = _places(network.config.vision_config)

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Tokenise, and see that each image can be decoded; see `Model.encode`.

        Raises:
            UnusableRow: a sample lacks a text that the template reads, its text has no token, or an image
                can't be decoded.
        """
        if not samples:
            return []
        texts = self._texts.coded([prompts.fill_row(self._template, sample) for sample in samples])
        for image in (image for sample in samples for image in sample.images):
            decode(image)
        return [
            Encoded(sample.row, 0, sample.id, text.tokens, truncated=text.truncated, images=sample.images)
            for sample, text in zip(samples, texts, strict=True)
        ]

    def cost(self, encoded: Encoded) -> int:
        """Places of the text and of its images."""
        return self._width([encoded]) + self._image_tokens * len(encoded.images)

    def run(self, batch: Sequence[Encoded]) -> list[Output]:
        """Similarities of one batch.

        Shapes: B rows, T tokens padded on the right, I images of all rows, D dimensions.

        Raises:
            UnusableRow: an embedding is not finite, or is zero.
            OutOfMemory: retryable with a smaller budget.
        """
        pictures = [picture for row in batch for picture in decode_all(row.images)]
        prepared = self._processor(images=pictures, return_tensors="pt")
        width = self._width(batch)
        with device_faults(len(batch), width), torch.inference_mode():
            text_BD = _pooled(self._network.get_text_features(**self._text_inputs(batch, width)))
            images = {name: self._as_computed(tensor) for name, tensor in prepared.items()}
            image_ID = _pooled(self._network.get_image_features(**images))
            of_image_I = [position for position, row in enumerate(batch) for _ in row.images]
            found_I = cosines(text_BD[of_image_I].cpu(), image_ID.cpu())
        ends = accumulate((len(row.images) for row in batch), initial=0)
        return [
            Output(text=None, finish=None, similarity=math.fsum(found_I[start:stop]) / (stop - start))
            for start, stop in pairwise(ends)
        ]

    def blank(self, encoded: Encoded) -> Encoded:
        """As many tokens, the special ones of an empty text around padding, and black images of the same sizes."""
        tokens = self._texts.blank(len(encoded.tokens))
        return replace(encoded, tokens=tokens, images=tuple(black_like(image) for image in encoded.images))

    def close(self) -> None:
        """Free the device."""
        del self._network
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _width(self, batch: Sequence[Encoded]) -> int:
        return self._full_width or max(len(row.tokens) for row in batch)

    def _text_inputs(self, batch: Sequence[Encoded], width: int) -> dict[str, torch.Tensor]:
        filled = [[*row.tokens, *[self._pad_token] * (width - len(row.tokens))] for row in batch]
        if self._full_width:
            return {"input_ids": torch.tensor(filled).to(self._device)}
        ids_BT, mask_BT = pad([row.tokens for row in batch], value=self._pad_token)
        return {"input_ids": ids_BT.to(self._device), "attention_mask": mask_BT.to(self._device)}

    def _as_computed(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._device, self._network.dtype if tensor.is_floating_point() else tensor.dtype)


def _pooled(features: Any) -> torch.Tensor:
    pooled: torch.Tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return pooled


def _places(vision: Any) -> int:
    """Places that one image takes in a vision network, for the budget; a guess where it has no patches."""
    size = getattr(vision, "image_size", None) or 0
    if not size and getattr(vision, "num_patches", None):
        return int(vision.num_patches)
    patch = getattr(vision, "patch_size", None) or _USUAL_PATCH
    return max(1, (int(size) // int(patch)) ** 2)
