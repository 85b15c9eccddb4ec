"""The systems section of a spec: one class per kind of thing that is evaluated.

Knows what each kind may be told; loads nothing. A kind is what it takes in and gives out, not a
model family. Called by `spec`.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from halluc_ray.config.prompting import Decoding, Reasoning, Shots
from halluc_ray.config.section import Name, Section

DType = Literal["auto", "float64", "float32", "bfloat16", "float16"]


class CheckpointSection(Section):
    """What every system that loads a checkpoint has."""

    name: Name
    checkpoint: str = Field(min_length=1, description="Folder, s3://bucket/prefix, or hub id.")
    revision: str = "main"
    dtype: DType = "auto"


class PromptSection(Section):
    """What every system that is prompted in words has."""

    template: str | None = Field(
        default=None,
        description="The user's turn; {name} stands for a role or a corpus column. Default: {prompt}, or the row's "
        "messages where corpus.columns maps those and no prompt.",
    )
    system: str | None = Field(default=None, description="The system turn of a chat.")
    shots: Shots = Field(default=(), description="Worked examples shown before the question: a list, or a file.")


class LocalPromptSection(PromptSection):
    """A prompted model that runs here: its tokenizer may have a chat template."""

    chat: bool = Field(default=False, description="Render turns by the tokenizer's chat template.")

    @model_validator(mode="after")
    def _system_turn_is_used(self) -> LocalPromptSection:
        if self.system is not None and not self.chat:
            raise ValueError("system has no effect without a chat template; set chat: true, or put it in template")
        return self


class CausalSystem(LocalPromptSection, CheckpointSection):
    """A decoder-only language model (GPT, Llama, Qwen families)."""

    kind: Literal["causal-lm"]
    adapter: str | None = Field(default=None, description="LoRA folder, s3://bucket/prefix, or hub id.")
    backend: Literal["transformers", "vllm"] = Field(default="transformers", description="What runs it.")
    reasoning: Reasoning | None = None
    max_input_tokens: int = Field(default=1024, gt=0)
    decoding: Decoding = Decoding()

    @model_validator(mode="after")
    def _backend_can_do_it(self) -> CausalSystem:
        if self.backend == "vllm" and self.adapter is not None:
            raise ValueError(
                "adapter is put on by backend: transformers alone; set that, or merge it into a checkpoint"
            )
        if self.backend == "vllm" and self.dtype == "float64":
            raise ValueError("dtype: float64 is computed by backend: transformers alone")
        return self


class Seq2SeqSystem(LocalPromptSection, CheckpointSection):
    """An encoder-decoder (T5, BART, Marian, mBART families)."""

    kind: Literal["seq2seq-lm"]
    adapter: str | None = Field(default=None, description="LoRA folder, s3://bucket/prefix, or hub id.")
    source_lang: str | None = Field(default=None, description="Language of the input, for multilingual tokenizers.")
    target_lang: str | None = Field(default=None, description="Language code that the output starts with.")
    max_input_tokens: int = Field(default=1024, gt=0)
    decoding: Decoding = Decoding()


class ImageTextSystem(LocalPromptSection, CheckpointSection):
    """A vision-language model: images and text in, text out (LLaVA, Qwen-VL, Idefics families)."""

    kind: Literal["image-text-to-text"]
    reasoning: Reasoning | None = None
    max_input_tokens: int = Field(default=4096, gt=0)
    decoding: Decoding = Decoding()


class ClassifierSystem(CheckpointSection):
    """An encoder with a classification head (BERT, RoBERTa, DeBERTa families)."""

    kind: Literal["sequence-classification"]
    adapter: str | None = Field(default=None, description="LoRA folder, s3://bucket/prefix, or hub id.")
    labels: dict[int, str] = Field(default_factory=dict, description="Label id -> name; default: the checkpoint's own.")
    template: str = "{prompt}"
    pair_template: str | None = Field(default=None, description="Second segment of a sentence pair, such as {context}.")
    max_input_tokens: int = Field(default=512, gt=0)


class DualEncoderSystem(CheckpointSection):
    """An image-text matcher (CLIP family): cosine of the text's and the image's embeddings."""

    kind: Literal["dual-encoder"]
    template: str = Field(default="{response}", description="The text that should match the row's image.")
    max_input_tokens: int = Field(default=512, gt=0)


class EmbedderSystem(CheckpointSection):
    """A sentence embedder: cosine of the embeddings of two texts of a row."""

    kind: Literal["embedder"]
    template: str = Field(default="{context}", description="The first text.")
    pair_template: str = Field(default="{response}", description="The second text.")
    pooling: Literal["auto", "mean", "cls", "last"] = Field(
        default="auto", description="From tokens to a text; auto: as the checkpoint's 1_Pooling says, else mean."
    )
    max_input_tokens: int = Field(default=512, gt=0)


class ChoicesSystem(LocalPromptSection, CheckpointSection):
    """A causal language model that rates given options by their log-likelihood."""

    kind: Literal["choices"]
    adapter: str | None = Field(default=None, description="LoRA folder, s3://bucket/prefix, or hub id.")
    choose_by: Literal["sum", "per_token", "per_byte"] = Field(
        default="sum", description="Log-likelihood of an option as it is, or divided by its tokens or UTF-8 bytes."
    )
    option_template: str = Field(default=" {option}", description="What is rated after the prompt, for each option.")
    max_input_tokens: int = Field(default=1024, gt=0)

    @field_validator("option_template")
    @classmethod
    def _option_is_named(cls, template: str) -> str:
        braces = re.findall(r"\{\{|\}\}|\{option\}|[{}]", template)
        if "{option}" not in braces or {"{", "}"} & set(braces):
            raise ValueError(f"{template!r} must hold {{option}} and no other placeholder; put others in template")
        return template


class EndpointSystem(PromptSection):
    """A model behind an OpenAI-compatible server."""

    kind: Literal["endpoint"]
    name: Name
    url: str = Field(pattern=r"^https?://", description="Base URL, such as http://localhost:8000/v1.")
    model: str = Field(min_length=1, description="The server's name of the model.")
    as_of: str = Field(
        min_length=1, description="Version or date of what answers; a change of it makes the outputs new."
    )
    api: Literal["chat", "completions"] = "chat"
    api_key_env: str | None = Field(
        default=None, pattern=r"^\w+$", description="Environment variable that holds the key; none: no key is sent."
    )
    logprobs: bool = Field(default=False, description="Ask for the log-probability of each output token.")
    reasoning: Reasoning | None = None
    decoding: Decoding = Decoding()
    concurrency: int = Field(default=8, gt=0, le=1024, description="Requests in flight.")
    requests_per_minute: int | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=120, gt=0, description="Seconds that one request may take.")
    retries: int = Field(default=6, ge=0, description="Tries after the first of a request that failed.")
    price_input: float = Field(default=0, ge=0, description="Money for a million input tokens.")
    price_output: float = Field(default=0, ge=0, description="Money for a million output tokens.")
    max_cost: float | None = Field(default=None, gt=0, description="Money after which the run stops, resumable.")

    @model_validator(mode="after")
    def _prompt_fits_the_api(self) -> EndpointSystem:
        if self.system is not None and self.api == "completions":
            raise ValueError("system has no effect with api: completions; put it in template, or use api: chat")
        return self

    @model_validator(mode="after")
    def _cost_is_known(self) -> EndpointSystem:
        if self.max_cost is not None and not self.price_input + self.price_output:
            raise ValueError("max_cost needs price_input or price_output, per million tokens")
        return self


class RecordedSystem(Section):
    """Answers that the corpus already holds."""

    kind: Literal["recorded"]
    name: Name | None = Field(default=None, description="Name of the only system in the corpus.")
    name_from: str | None = Field(default=None, description="Column that names the system of each row.")

    @model_validator(mode="after")
    def _one_name(self) -> RecordedSystem:
        if (self.name is None) == (self.name_from is None):
            raise ValueError("set one of `name` (a single system) and `name_from` (a column that names it)")
        return self


PromptedSystem = CausalSystem | Seq2SeqSystem | ImageTextSystem | ChoicesSystem | EndpointSystem
"""Systems that `models.prompting` writes prompts for."""

CheckpointSystem = (
    CausalSystem
    | Seq2SeqSystem
    | ImageTextSystem
    | ClassifierSystem
    | DualEncoderSystem
    | EmbedderSystem
    | ChoicesSystem
)
"""Systems that load a checkpoint on an actor."""

System = Annotated[CheckpointSystem | EndpointSystem | RecordedSystem, Field(discriminator="kind")]
