"""Rendered prompts against transformers' own chat templating, and what is refused before a row is run."""

import re
from datetime import date

import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from halluc_ray.config import CausalSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.models.rendering import Renderer
from halluc_ray.models.visible import PieceKind, pieces_of
from halluc_ray.records import Sample, Turn

CHATML = """\
{%- if messages[0]['role'] != 'system' %}{{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""
LLAMA3 = """\
{%- for message in messages %}
{%- set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim %}
{%- if loop.index0 == 0 %}{%- set content = bos_token + content %}{%- endif %}
{{- content + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}"""
STRICT = """\
{{- bos_token }}{%- for message in messages %}
{%- if message['role'] == 'system' %}{{- raise_exception('System role not supported') }}{%- endif %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate') }}{%- endif %}
{{- '[' + message['content'] + ']' }}{%- endfor %}"""
MARKS = ["<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
BOS = "<|begin_of_text|>"


@pytest.fixture(scope="module")
def tokenizer_with():
    """A tokenizer of bytes that puts a beginning-of-sequence token in front, as Llama's does."""

    def made(template: str | None, *, adds_bos: bool = True) -> PreTrainedTokenizerFast:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        core = Tokenizer(BPE({character: k for k, character in enumerate(alphabet)}, []))
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        core.add_special_tokens([BOS, *MARKS])
        if adds_bos:
            core.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, 256)])
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=BOS, eos_token="<|eot_id|>")
        tokenizer.chat_template = template
        return tokenizer

    return made


def renderer(tokenizer, **options) -> Renderer:
    system = {"kind": "causal-lm", "name": "m", "checkpoint": "x"} | options
    return Renderer(CausalSystem.model_validate(system), tokenizer)


SAMPLE = Sample(
    0, "r", {"prompt": " 首都在哪？ "}, turns=(Turn("user", "Hi"), Turn("assistant", "Ho"), Turn("user", "!"))
)
SHOT = {"fields": {"prompt": "France?"}, "answer": "Paris"}


@pytest.mark.parametrize("template", [CHATML, LLAMA3], ids=["chatml", "llama3"])
@pytest.mark.parametrize(
    ("options", "turns"),
    [
        ({}, [("user", " 首都在哪？ ")]),
        ({"system": "Be brief."}, [("system", "Be brief."), ("user", " 首都在哪？ ")]),
        ({"shots": [SHOT]}, [("user", "France?"), ("assistant", "Paris"), ("user", " 首都在哪？ ")]),
        (
            {"template": "{messages}", "system": "S", "shots": [SHOT]},
            [
                ("system", "S"),
                ("user", "France?"),
                ("assistant", "Paris"),
                ("user", "Hi"),
                ("assistant", "Ho"),
                ("user", "!"),
            ],
        ),
    ],
)
def test_a_chat_is_what_transformers_makes_of_its_turns(tokenizer_with, template, options, turns):
    tokenizer = tokenizer_with(template)
    found = renderer(tokenizer, chat=True, **options)
    [text] = found.texts([SAMPLE])
    messages = [{"role": role, "content": content} for role, content in turns]
    whole = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
    assert text == tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert found.tokens([text]) == [whole["input_ids"]]


@pytest.mark.parametrize("start", ["", "\n", "  ", "{{ bos_token }}\n"])
def test_a_template_that_writes_the_day_writes_the_same_on_every_day(tokenizer_with, start):
    dated = (
        "{%- if not date_string is defined and strftime_now is defined %}"
        "{%- set date_string = strftime_now('%d %b %Y') %}{%- endif %}{{ date_string }} {{ strftime_now('%Y-%m') }}\n"
    )
    template = f"{start}{dated}{CHATML}"
    [text] = renderer(tokenizer_with(template), chat=True).texts([SAMPLE])
    fixed = re.sub(r"strftime_now\('([^']*)'\)", lambda call: repr(date(2024, 7, 26).strftime(call[1])), template)
    [wanted] = renderer(tokenizer_with(fixed), chat=True).texts([SAMPLE])
    assert text == wanted
    assert "26 Jul 2024 2024-07" in text


def test_chats_by_hand(tokenizer_with):
    [text] = renderer(tokenizer_with(CHATML), chat=True, system="Be brief.", shots=[SHOT]).texts([SAMPLE])
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nFrance?<|im_end|>\n"
        "<|im_start|>assistant\nParis<|im_end|>\n<|im_start|>user\n 首都在哪？ <|im_end|>\n<|im_start|>assistant\n"
    )
    [text] = renderer(tokenizer_with(LLAMA3), chat=True).texts([SAMPLE])
    assert text == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n首都在哪？<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_without_a_chat_the_tokenizer_writes_its_special_tokens(tokenizer_with):
    found = renderer(tokenizer_with(None))
    assert found.tokens(found.texts([SAMPLE]))[0][0] == 256


@pytest.mark.parametrize(
    "options", [{"template": f"{BOS}{{prompt}}"}, {"shots": [{"fields": {"prompt": f"{BOS}a"}, "answer": "b"}]}]
)
def test_a_prompt_that_begins_twice_is_refused_before_any_row(tokenizer_with, options):
    with pytest.raises(
        SpecError, match=r"systems\[m\]: prompts would begin with <\|begin_of_text\|> twice.*the tokenizer"
    ):
        renderer(tokenizer_with(None), **options)
    renderer(tokenizer_with(None, adds_bos=False), **options)


def test_a_chat_template_that_writes_two_is_refused(tokenizer_with):
    with pytest.raises(SpecError, match="twice, for the chat template writes one"):
        renderer(tokenizer_with("{{ bos_token }}{{ bos_token }}{{ messages[0]['content'] }}"), chat=True)


def test_a_row_that_begins_with_one_more_fails_alone(tokenizer_with):
    found = renderer(tokenizer_with(None))
    texts = found.texts([Sample(0, "a", {"prompt": "fine"}), Sample(1, "b", {"prompt": f"{BOS}not fine"})])
    assert len(found.tokens(texts[:1])) == 1
    with pytest.raises(UnusableRow) as caught:
        found.tokens(texts)
    assert caught.value.reason == "doubled_bos"


def test_a_chat_without_a_template_is_refused(tokenizer_with):
    with pytest.raises(SpecError, match=r"systems\[m\]\.chat: true, and the checkpoint has no chat template"):
        renderer(tokenizer_with(None), chat=True)


def test_turns_that_the_template_refuses(tokenizer_with):
    with pytest.raises(SpecError, match=r"does not take the turns \(System role not supported\)"):
        renderer(tokenizer_with(STRICT), chat=True, system="Be brief.")
    found = renderer(tokenizer_with(STRICT), chat=True, template="{messages}")
    assert found.texts([SAMPLE]) == [f"{BOS}[Hi][Ho][!]"]
    twice = Sample(1, "t", {}, turns=(Turn("user", "a"), Turn("user", "b")))
    with pytest.raises(UnusableRow) as caught:
        found.texts([SAMPLE, twice])
    assert (caught.value.reason, "must alternate" in caught.value.detail) == ("chat_template_refused", True)


def test_a_system_turn_that_the_template_leaves_out_is_refused(tokenizer_with):
    deaf = "{% for m in messages if m['role'] != 'system' %}{{ m['content'] }}{% endfor %}"
    assert renderer(tokenizer_with(deaf), chat=True).texts([SAMPLE]) == [" 首都在哪？ "]
    with pytest.raises(
        SpecError, match=r"systems\[m\]\.system: the tokenizer's chat template leaves the system turn out"
    ):
        renderer(tokenizer_with(deaf), chat=True, system="Be brief.")
    assert "Be brief." in renderer(tokenizer_with(LLAMA3), chat=True, system=" Be brief. \n").texts([SAMPLE])[0]


def test_shots_that_fill_the_prompt_are_refused(tokenizer_with):
    found = renderer(tokenizer_with(None), shots=[{"fields": {"prompt": "q" * 50}, "answer": "a"}])
    found.check_room(100)
    with pytest.raises(SpecError, match=r"take 56 tokens of the 40 .* leave no room for the row"):
        found.check_room(40)


FIVE = [{"fields": {"prompt": f"{k}?"}, "answer": f"{k}"} for k in range(5)]


@pytest.mark.parametrize(("limit", "num_shown"), [(51, 5), (50, 4), (45, 4), (44, 3), (32, 1), (21, 0), (9, 0)])
def test_a_prompt_above_the_limit_loses_its_first_shots_whole(tokenizer_with, limit, num_shown):
    """A token a byte: one to begin with, six for each shot and the empty line after it, twenty for the row."""
    found = renderer(tokenizer_with(None), shots=FIVE)
    [prompt] = found.fitted([Sample(0, "r", {"prompt": "x" * 20})], limit=limit)
    shots = ["0? 0", "1? 1", "2? 2", "3? 3", "4? 4"][5 - num_shown :]
    assert prompt.text == "\n\n".join([*shots, "x" * 20])
    assert (len(prompt.tokens), prompt.shortened) == (21 + 6 * num_shown, num_shown < 5)


def test_a_chat_above_the_limit_stays_a_chat(tokenizer_with):
    options = {"chat": True, "system": "Be brief."}
    found = renderer(tokenizer_with(CHATML), shots=FIVE, **options)
    [two] = renderer(tokenizer_with(CHATML), shots=FIVE[3:], **options).fitted([SAMPLE], limit=10_000)
    [prompt] = found.fitted([SAMPLE], limit=len(two.tokens))
    assert (prompt.text, prompt.tokens, prompt.shortened) == (two.text, two.tokens, True)


def test_pieces_tell_special_tokens_and_cuts_apart(tokenizer_with):
    tokenizer = tokenizer_with(LLAMA3)
    found = renderer(tokenizer, chat=True)
    [whole] = found.tokens(found.texts([SAMPLE]))
    kinds = [(piece.kind, piece.text) for piece in pieces_of(tokenizer, whole)]
    assert kinds[:4] == [
        (PieceKind.SPECIAL, BOS), (PieceKind.SPECIAL, "<|start_header_id|>"),
        (PieceKind.TEXT, "user"), (PieceKind.SPECIAL, "<|end_header_id|>"),
    ]  # fmt: skip
    assert (PieceKind.TEXT, "\n\n首都在哪？") in kinds
    cut = pieces_of(tokenizer, [whole[0], *whole[9:]], whole=whole)
    assert [piece.text for piece in cut if piece.kind is PieceKind.CUT] == [tokenizer.decode(whole[1:9])]
    assert "".join(piece.text for piece in cut) == "".join(text for _, text in kinds)
    beginning = pieces_of(tokenizer, whole[:5], whole=whole)
    assert (beginning[-1].kind, beginning[-1].text) == (PieceKind.CUT, tokenizer.decode(whole[5:]))
