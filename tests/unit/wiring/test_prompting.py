"""Prompts that would be damaged in every row are refused by the plan, each with what to do."""

import json

import pytest

from halluc_ray.config import RunSpec
from halluc_ray.errors import SpecError
from halluc_ray.wiring.systems import resolve_system
from tests.unit.engine.checkpoints import save_checkpoint
from tests.unit.engine.whole import plan_of, spec_of, write

COLUMNS = {"prompt": "q", "messages": "talk", "options": "o", "image": "i", "response": "a"}
ENDPOINT = {"kind": "endpoint", "url": "http://localhost:1/v1", "model": "m", "as_of": "today", "checkpoint": None}


@pytest.fixture
def resolve(tmp_path):
    def made(*, columns=COLUMNS, **options):
        folder = tmp_path / "model"
        if not folder.exists():
            save_checkpoint(folder, chat=False)
        system = {"kind": "causal-lm", "name": "m", "checkpoint": str(folder)} | options
        system = {key: value for key, value in system.items() if value is not None}
        data = {
            "corpus": {"uri": "c", "columns": columns},
            "systems": [system],
            "indicators": [{"kind": "answer_mismatch"}],
        }
        spec = RunSpec.model_validate(data)
        return resolve_system(spec.systems[0], spec, device="cpu", accelerator=None)

    made.folder = tmp_path / "model"
    return made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"template": "{messages}"}, r"systems\[m\]\.template: \{messages\} is a conv.*; set chat: true"),
        ({"template": "Talk: {messages}", "chat": True}, r"holds \{messages\}, which is a conversation and no text"),
        ({"template": "{prompt} {options}"}, r"systems\[m\]\.template: .* holds \{options\}, a list to choose from"),
        ({"template": "{image}"}, r"holds \{image\}, which is no text; a causal-lm reads words alone"),
        ({"template": "{prompt", "chat": True}, r"systems\[m\]\.template: '\{' at character 0"),
        ({"template": "{messages}", "columns": {"prompt": "q"}, "chat": True}, r"set corpus\.columns\.messages"),
        ({"shots": [{"fields": {"q": "a"}, "answer": "b"}]}, r"systems\[m\]\.shots\[0\]\.fields has q and lacks"),
        ({**ENDPOINT, "template": "{messages}", "api": "completions"}, r"takes one text; set api: chat"),
        ({"kind": "embedder", "template": "{messages}"}, r"systems\[m\]\.template: .* holds \{messages\}"),
        ({"chat": True}, r"systems\[m\]\.chat: true, and .*model has no chat template \(chat_template\.jinja, or"),
    ],
)  # fmt: skip
def test_what_would_damage_every_row_is_refused(resolve, options, message):
    with pytest.raises(SpecError, match=message):
        resolve(**options)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("chat_template.jinja", "{{ messages }}"),
        ("tokenizer_config.json", json.dumps({"chat_template": "{{ messages }}"})),
        ("tokenizer_config.json", json.dumps({"chat_template": [{"name": "default", "template": "{{ messages }}"}]})),
    ],
)
def test_a_chat_template_is_found_where_transformers_looks(resolve, name, content):
    save_checkpoint(resolve.folder, chat=False)
    (resolve.folder / name).write_text(content)
    assert resolve(chat=True).spec.chat


def test_a_config_without_a_template_is_none(resolve):
    save_checkpoint(resolve.folder, chat=False)
    (resolve.folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": None}))
    with pytest.raises(SpecError, match="has no chat template"):
        resolve(chat=True)


@pytest.mark.parametrize(("key", "most"), [("n_positions", 30), ("max_position_embeddings", 30)])
def test_an_answer_that_takes_all_positions(resolve, key, most):
    save_checkpoint(resolve.folder, chat=False)
    (resolve.folder / "config.json").write_text(json.dumps({"model_type": "gpt2", key: most}))
    resolve(decoding={"max_new_tokens": 28})
    with pytest.raises(
        SpecError, match=r"systems\[m\]\.decoding\.max_new_tokens: 29 leaves no room for a prompt in .* 30 pos"
    ):
        resolve(decoding={"max_new_tokens": 29})


def test_the_default_template_is_the_prompt_or_else_the_conversation(resolve):
    assert resolve().spec.template == "{prompt}"
    talk = resolve(columns={"messages": "talk"}, **ENDPOINT)
    assert (talk.spec.template, talk.roles) == ("{messages}", {"messages"})


def test_an_unknown_placeholder_is_told_by_the_plan(tmp_path):
    corpus = write(
        tmp_path / "c.parquet", {"question": ["a"], "country": ["b"], "n": [[1.5]], "answer": ["c"], "id": ["1"]}
    )
    save_checkpoint(tmp_path / "model", chat=False)

    def plan(template: str):
        system = {"kind": "causal-lm", "name": "m", "checkpoint": str(tmp_path / "model"), "template": template}
        columns = {"id": "id", "prompt": "question", "reference": "answer"}
        return plan_of(spec_of(corpus, tmp_path / "out", systems=[system], corpus={"columns": columns}))

    assert plan("{prompt} {country} {id}").context.systems[0].resolved.columns == ("country",)
    with pytest.raises(
        SpecError, match=r"systems\[0\]\.template: there is no column 'contry' in .*; did you mean 'country'"
    ):
        plan("{prompt} {contry}")
    with pytest.raises(SpecError, match=r"systems\[0\]\.template reads \{context\}: set corpus\.columns\.context"):
        plan("{context}")
    with pytest.raises(
        SpecError, match=r"systems\[0\]\.template: column 'n' holds list<.*; it must hold text, numbers"
    ):
        plan("{n}")
