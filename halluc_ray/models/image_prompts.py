"""From samples with images to the text that a processor lays them into.

An image stands where the text says: at `{image}` of the template, or at the checkpoint's own image
token; where the text says nothing, in front of it. Knows the processor's chat template and image token;
decodes no image. Caller: `image_text`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from halluc_ray.config import ImageTextSystem
from halluc_ray.errors import ModelError, SpecError
from halluc_ray.models import prompts
from halluc_ray.models.chats import Chat
from halluc_ray.models.prompting import Prompter
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.records import Sample, Turn

_PLACE = "\x00image\x00"
_FRAMES = {
    "<|image_pad|>": ("<|vision_start|>", "<|vision_end|>"),  # Qwen-VL
    "<|image|>": ("<|begin_of_image|>", "<|end_of_image|>"),  # GLM-4V
}
"""What stands around an image token in prompts that no chat template writes, so that neighbours are told apart."""


class ImagePrompter:
    """Writes the prompts of one system for one processor."""

    def __init__(self, system: ImageTextSystem, processor: Any) -> None:
        """Check that the processor takes what the system says before any row.

        Raises:
            SpecError: `chat: true` and no chat template, or one that refuses the turns.
            ModelError: the processor has no image token.
        """
        self._system = system
        self._key = f"systems[{system.name}].chat"
        self._prompter = Prompter(system)
        token = getattr(processor, "image_token", None)
        if not isinstance(token, str):
            raise ModelError(
                f"checkpoint {system.checkpoint}: {type(processor).__name__} names no image token, so that a prompt "
                "can't say where an image stands; use a checkpoint of a family that does (LLaVA, Qwen-VL, Idefics, ...)"
            )
        self._token = token
        self._framed = _framed(token, processor.tokenizer)
        self._places = re.compile(f"{_PLACE}|{re.escape(token)}")
        own = getattr(processor, "chat_template", None) or None
        self._chat = Chat(processor.tokenizer, where=self._key, template=own) if system.chat else None
        if self._chat is not None:
            self._check_chat()

    def text(self, sample: Sample) -> str:
        """The prompt of a sample, an image token for each of its images.

        Raises:
            UnusableRow: the sample lacks what the template reads; the chat template refuses its turns; or
                there are more or fewer places than images (`image_token_mismatch`).
        """
        number = len(sample.images)
        placed = replace(sample, fields={**sample.fields, "image": _PLACE * number})
        text = self._as_text(placed) if self._chat is None else self._as_chat(self._chat, placed)
        found = text.count(self._token)
        if found != number:
            raise UnusableRow(
                "image_token_mismatch", f"the prompt has {found} place(s) {self._token} for {number} image(s)"
            )
        return text

    def nothing_said(self, image: bytes) -> Sample:
        """A row with one image, whose every text is a question mark."""
        return replace(self._prompter.nothing_said(), images=(image,))

    def _as_text(self, sample: Sample) -> str:
        text = self._prompter.text(sample)
        if not self._places.search(text):
            return self._framed * len(sample.images) + text
        return text.replace(_PLACE, self._framed)

    def _as_chat(self, chat: Chat, sample: Sample) -> str:
        turns = self._prompter.turns(sample)
        first = self._first_own(sample, turns)
        own = "".join(turn.content for turn in turns[first:])
        in_front = 0 if self._places.search(own) else len(sample.images)
        said = [
            {"role": turn.role, "content": [*self._images(in_front if k == first else 0), *self._parts(turn.content)]}
            for k, turn in enumerate(turns)
        ]
        return chat.text(said)

    def _first_own(self, sample: Sample, turns: Sequence[Turn]) -> int:
        """The first turn after system and shots: the row's own begins there."""
        own = 1
        if self._system.template == prompts.MESSAGES:
            own = len(sample.turns) - (sample.turns[0].role == "system")
        return len(turns) - own

    def _parts(self, content: str) -> Iterator[dict[str, str]]:
        at = 0
        for place in self._places.finditer(content):
            if content[at : place.start()]:
                yield {"type": "text", "text": content[at : place.start()]}
            yield {"type": "image"}
            at = place.end()
        if content[at:]:
            yield {"type": "text", "text": content[at:]}

    def _images(self, number: int) -> list[dict[str, str]]:
        return [{"type": "image"} for _ in range(number)]

    def _check_chat(self) -> None:
        try:
            self.text(self.nothing_said(b""))
        except UnusableRow as error:
            raise SpecError(
                f"{self._key}: true, and the checkpoint's chat template does not take a turn with an image "
                f"({error.detail}); set chat: false, or name a checkpoint that was tuned on images"
            ) from error


def _framed(token: str, tokenizer: Any) -> str:
    """An image token with what its family puts around it, where the vocabulary has that."""
    start, end = _FRAMES.get(token, ("", ""))
    known = tokenizer.get_vocab()
    return f"{start}{token}{end}" if start in known and end in known else token
