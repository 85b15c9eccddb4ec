"""What a model is told: shots, conversations, system turns; expected prompts are written by hand."""

import pytest

from halluc_ray.config import CausalSystem
from halluc_ray.errors import SpecError
from halluc_ray.models.prompting import Prompter
from halluc_ray.models.prompts import UnusableRow
from halluc_ray.records import Sample, Turn

SHOTS = [
    {"fields": {"prompt": "1 + 1?"}, "answer": "2"},
    {"fields": {"prompt": "2 + 2?"}, "answer": "4"},
    {"fields": {"prompt": "3 + 3?"}, "answer": "6"},
]


def prompter(**options):
    system = {"kind": "causal-lm", "name": "m", "checkpoint": "x", "chat": True} | options
    return Prompter(CausalSystem.model_validate(system))


def asking(text: str, **fields: str) -> Sample:
    return Sample(0, "r", {"prompt": text, **fields})


def saying(*turns: tuple[str, str]) -> Sample:
    return Sample(0, "r", {}, turns=tuple(Turn(role, content) for role, content in turns))


def spoken(turns) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in turns]


def test_a_shot_that_does_not_fill_the_template_is_refused():
    with pytest.raises(SpecError, match=r"systems\[m\]\.shots\[1\]\.fields has prompt and lacks country"):
        prompter(
            template="{prompt} ({country})",
            shots=[{"fields": {"prompt": "?", "country": "Peru"}, "answer": "!"}, *SHOTS[:1]],
        )


def test_system_then_shots_then_the_row():
    found = prompter(system="Be brief.", shots=SHOTS[:1]).turns(asking("2 + 2?"))
    assert spoken(found) == [("system", "Be brief."), ("user", "1 + 1?"), ("assistant", "2"), ("user", "2 + 2?")]


@pytest.mark.parametrize(
    ("template", "answers", "expected"),
    [
        ("{prompt}", ["2", "4"], "1 + 1? 2\n\n2 + 2? 4\n\n5 + 5?"),
        ("Q: {prompt}\nA:", [" 2", "4"], "Q: 1 + 1?\nA: 2\n\nQ: 2 + 2?\nA: 4\n\nQ: 5 + 5?\nA:"),
        ("问：{prompt}\n", ["2", "4"], "问：1 + 1?\n2\n\n问：2 + 2?\n4\n\n问：5 + 5?\n"),
    ],
)
def test_without_a_chat_shots_stand_an_empty_line_apart(template, answers, expected):
    shots = [{**shot, "answer": answer} for shot, answer in zip(SHOTS, answers, strict=False)]
    assert prompter(chat=False, template=template, shots=shots).text(asking("5 + 5?")) == expected


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("9?", ["1 + 1?", "2 + 2?"]), (" 1 + 1?\n", ["2 + 2?", "3 + 3?"]), ("3 + 3?", ["1 + 1?", "2 + 2?"])],
)
def test_a_shot_that_asks_what_the_row_asks_makes_room_for_the_next(asked, shown):
    found = spoken(prompter(shots={"pool": SHOTS, "count": 2}).turns(asking(asked)))
    assert [content for role, content in found[:-1] if role == "user"] == shown
    assert found[-1] == ("user", asked)


def test_a_list_has_no_spare_shot():
    assert len(prompter(shots=SHOTS[:2]).turns(asking("1 + 1?"))) == 3


def test_the_rows_own_system_turn_is_the_only_one():
    sample = saying(("system", "Own."), ("user", "Hi"), ("assistant", "Hello"), ("user", "1 + 1?"))
    found = prompter(template="{messages}", system="Ours.", shots=SHOTS[:2]).turns(sample)
    assert spoken(found) == [
        ("system", "Own."), ("user", "2 + 2?"), ("assistant", "4"),
        ("user", "Hi"), ("assistant", "Hello"), ("user", "1 + 1?"),
    ]  # fmt: skip
    without = saying(("user", "Hi"))
    assert spoken(prompter(template="{messages}", system="Ours.").turns(without)) == [
        ("system", "Ours."),
        ("user", "Hi"),
    ]


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([("user", "Hi"), ("assistant", "Hello")], "assistant_speaks_last"),
        ([("system", "Hi")], "system_speaks_last"),
        ([], "nobody_speaks_last"),
        ([("human", "Hi")], "unknown_role"),
        ([("user", "Hi"), ("gpt", "Ho"), ("user", "Hi")], "unknown_role"),
    ],
)
def test_conversations_that_ask_nothing_fail_with_a_reason(turns, reason):
    with pytest.raises(UnusableRow) as caught:
        prompter(template="{messages}").turns(saying(*turns))
    assert caught.value.reason == reason


def test_a_tool_may_speak_last():
    sample = saying(("user", "Weather?"), ("assistant", "<call>"), ("tool", "rain"))
    assert spoken(prompter(template="{messages}").turns(sample))[-1] == ("tool", "rain")


def test_values_of_shots_and_rows_are_not_expanded():
    shots = [{"fields": {"prompt": "{id} {{x}}"}, "answer": "{prompt}"}]
    assert prompter(chat=False, shots=shots).text(asking("{context}")) == "{id} {{x}} {prompt}\n\n{context}"
