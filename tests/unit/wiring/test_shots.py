"""Shots from files: which are chosen, what makes new work, and what is wrong with a file."""

import json

import pytest

from halluc_ray.config import RunSpec
from halluc_ray.errors import SpecError
from halluc_ray.wiring.systems import resolve_system
from tests.unit.engine.checkpoints import save_checkpoint

LINES = [{"prompt": f"{k} + 1?", "answer": f"{k + 1}", "source": f"page {k}"} for k in range(20)]


@pytest.fixture
def resolve(tmp_path):
    checkpoint = save_checkpoint(tmp_path / "model")

    def made(shots, **options):
        system = {"kind": "causal-lm", "name": "m", "checkpoint": str(checkpoint), "shots": shots} | options
        corpus = {"uri": "c", "columns": {"prompt": "q", "context": "doc"}}
        data = {"corpus": corpus, "systems": [system], "indicators": [{"kind": "answer_mismatch"}]}
        spec = RunSpec.model_validate(data)
        return resolve_system(spec.systems[0], spec, device="cpu", accelerator=None)

    return made


@pytest.fixture
def file(tmp_path):
    def written(lines, name: str = "shots.jsonl", **how) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"{json.dumps(line, **how)}\n" for line in lines), encoding="utf-8")
        return str(path)

    return written


def asked(resolved) -> list[str]:
    return [shot.fields["prompt"] for shot in resolved.spec.shots.pool]


def test_the_first_of_the_file_and_one_to_spare(resolve, file):
    found = resolve({"file": file(LINES), "count": 2})
    assert asked(found) == ["0 + 1?", "1 + 1?", "2 + 1?"]
    assert found.spec.shots.count == 2
    assert asked(resolve({"file": file(LINES[:2]), "count": 2})) == ["0 + 1?", "1 + 1?"]


def test_a_seed_chooses_by_content(resolve, file):
    chosen = asked(resolve({"file": file(LINES), "count": 4, "seed": 1}))
    assert chosen == asked(resolve({"file": file(LINES[::-1], "b.jsonl"), "count": 4, "seed": 1}))
    others = [asked(resolve({"file": file(LINES), "count": 4, "seed": seed})) for seed in range(30)]
    assert chosen in others
    assert len({tuple(choice) for choice in others}) > 25
    assert {question for choice in others for question in choice} == {line["prompt"] for line in LINES}


def test_what_counts_is_what_the_chosen_say(resolve, file):
    plain = resolve({"file": file(LINES), "count": 2}).settings
    assert (
        plain == resolve({"file": file(LINES, "sub/moved.jsonl", ensure_ascii=False, indent=None), "count": 2}).settings
    )
    assert plain == resolve({"file": file([*LINES[:5], {"prompt": "new", "answer": "new"}]), "count": 2}).settings
    assert plain != resolve({"file": file([{**LINES[0], "answer": "0"}, *LINES[1:]]), "count": 2}).settings
    assert plain != resolve({"file": file(LINES), "count": 3}).settings
    assert (
        plain
        == resolve(
            {"pool": [{"fields": {"prompt": f"{k} + 1?"}, "answer": f"{k + 1}"} for k in range(3)], "count": 2}
        ).settings
    )
    assert ".jsonl" not in str(plain)
    assert "page" not in str(plain)


def test_a_list_stays_a_list(resolve):
    shots = [{"fields": {"prompt": "1?"}, "answer": "1"}]
    assert resolve(shots).settings["shots"] == shots
    assert "shots" not in resolve([]).settings


def test_values_that_are_no_texts_are_written_as_in_a_corpus(resolve, file):
    line = {"prompt": 12, "answer": True, "context": ["one", "二"]}
    found = resolve({"file": file([line]), "count": 1}, template="{context} {prompt}")
    [shot] = found.spec.shots.pool
    assert (dict(shot.fields), shot.answer) == ({"prompt": "12", "context": "one\n\n二"}, "true")


def test_a_byte_order_mark_and_empty_lines(resolve, tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a\\u2028b", "answer": "c"}\r\n\r\n{"prompt": "d", "answer": "e"}')
    assert asked(resolve({"file": str(path), "count": 2})) == ["a\u2028b", "d"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"shots\.count: 1 of .*s\.jsonl, which holds 0; lower it, or add examples"),
        (b'{"prompt": "a"}', r"shots\.file: .*s\.jsonl line 1 lacks 'answer'; it has 'prompt'"),
        (b'{"answer": "a", "question": "b"}', "line 1 lacks 'prompt'; it has 'answer', 'question'"),
        (b'{"prompt": "a", "answer": "b"}\n{"prompt": "c"', "line 2 is no JSON"),
        (b"[" * 100_000, "line 1 is no JSON"),
        (b'["a"]', "line 1 holds a list, not an object"),
        (b'{"prompt": null, "answer": "b"}', "line 1, key 'prompt': null is no text"),
        (b'{"prompt": "a", "answer": {"b": 1}}', "line 1, key 'answer': .* is no text"),
        (b'{"prompt": "\\ud800", "answer": "b"}', "line 1, key 'prompt': .* is no text"),
        (b'{"prompt": "a", "answer": "b"}\n\n{"prompt": " a", "answer": "c"}', "line 3 asks what line 1 asks"),
        (b'{"prompt": "\xff", "answer": "b"}', r"s\.jsonl byte 12 is not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(resolve, tmp_path, content, message):
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=message):
        resolve({"file": str(path), "count": 1})


@pytest.mark.parametrize("name", ["missing.jsonl", "no/folder.jsonl", "."])
def test_a_file_that_is_not_there(resolve, tmp_path, name):
    with pytest.raises(SpecError, match=r"systems\[m\]\.shots\.file: there is no "):
        resolve({"file": f"{tmp_path}/{name}", "count": 1})


def test_a_relative_file(resolve, file, tmp_path, monkeypatch):
    file(LINES)
    monkeypatch.chdir(tmp_path)
    assert (
        resolve({"file": "shots.jsonl", "count": 1}).settings == resolve({"file": "./shots.jsonl", "count": 1}).settings
    )


def test_a_place_that_is_none(resolve):
    with pytest.raises(SpecError, match=r"no store for scheme 'gs'"):
        resolve({"file": "gs://b/shots.jsonl", "count": 1})


def test_more_than_there_are(resolve, file):
    with pytest.raises(SpecError, match=r"shots\.count: 5 of .*shots\.jsonl, which holds 3"):
        resolve({"file": file(LINES[:3])})
    with pytest.raises(SpecError, match=r"shots\.count: 5 of pool, which holds 1"):
        resolve({"pool": [{"fields": {"prompt": "a"}, "answer": "b"}]})
