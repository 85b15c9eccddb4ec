"""The mapping that a look at a source proposes."""

import json

import pytest

from halluc_ray.corpora.importing.looking import look_at
from halluc_ray.corpora.importing.reading import ReadingOptions

NESTED = {"question": {"lang": "en", "text": "Why?"}, "passages": [{"title": "A", "text": "So."}], "answers": ["so"]}


def proposed(tmp_path, *records):
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(record) + "\n" for record in records))
    return look_at(str(source), ReadingOptions()).mapping


@pytest.mark.parametrize(
    ("records", "mapping"),
    [
        ([NESTED] * 3, "prompt=question.text,context=join(passages[].text),reference=answers[]"),
        (
            [{"question": "bare"}, *[NESTED] * 3],
            "prompt=question.text,context=join(passages[].text),reference=answers[]",
        ),
        ([{"question": "a"}, {"question": "b"}, {"question": {"text": "c"}}], "prompt=question"),
        ([{"Question": "a", "meta": {"question": "b"}}], "prompt=Question"),
        ([{"query": "a", "choices": ["b", "c"]}], "prompt=query,options=choices[]"),
        ([{"note": 1}], ""),
    ],
)
def test_the_path_that_most_records_fill_and_that_names_text_is_proposed(tmp_path, records, mapping):
    assert proposed(tmp_path, *records) == mapping
