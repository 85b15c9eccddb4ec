"""The page's words: both languages whole, every key used, caveats recognised."""

import re
from pathlib import Path

import pytest

import halluc_ray.reports
from halluc_ray.reports.words import json_text, page_words, phrase, recognised, translated, word

FOLDER = Path(halluc_ray.reports.__file__).parent


@pytest.mark.parametrize("key", page_words())
def test_both_languages_say_the_same_things(key):
    english, chinese = page_words()[key]
    assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", chinese))
    assert not re.search("[\u4e00-\u9fff]", english)
    assert re.search("[\u4e00-\u9fff：（]", chinese)


def test_every_word_is_used_and_every_used_word_exists():
    sources = [*FOLDER.glob("*.py"), *FOLDER.glob("templates/**/*.jinja"), *FOLDER.glob("templates/*.js")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    spoken = set(re.findall(r"[\"'](\w+)[\"']", text)) | {"of_systems"}
    made = {"theme_auto", "theme_light", "theme_dark", "sort_fair", "sort_worst", "sort_apart", "sort_id"}
    made |= {
        "one_system",
        "n_systems",
        "one_indicator",
        "n_indicators",
        "one_answer",
        "n_answers",
        "one_question",
        "n_questions",
        "bitwise_means",
        "scheduled_means",
        "got_worse",
        "got_better",
    }
    made |= {f"verdict_{name}" for name in ("pass", "fail", "inconclusive", "none", "missed")}
    made |= {f"last_{days}" for days in (30, 90, 365)}
    outcomes = {"hallucinated", "supported", "abstained", "undecided", "not_applicable", "failed"}
    assert set(page_words()) - spoken - made - outcomes == set()
    used = set(re.findall(r"\b(?:t|word|label|phrase|translated)\(\"(\w+)\"", text))
    used |= set(re.findall(r"data-t=\"(\w+)\"", text))
    assert {key for key in used if not key.endswith("_")} - set(page_words()) == set()


CAVEATS = [key for key in page_words() if key.startswith("caveat_") and not key.endswith(("_system", "_systems"))]


@pytest.mark.parametrize("key", CAVEATS)
def test_a_caveat_of_the_report_can_be_said_in_chinese(key):
    names = set(re.findall(r"\{(\w+)\}", page_words()[key][0]))
    values = dict.fromkeys(names, "7")
    if "who" in names:
        values["who"] = phrase("caveat_some_systems", n="3")
    sentence = word(key, **values)
    assert f'data-t="{key}"' in recognised(sentence)
    assert recognised(sentence).striptags() == sentence


def test_an_unknown_sentence_stays_as_it_is():
    assert recognised("<b>Something new</b>") == "&lt;b&gt;Something new&lt;/b&gt;"


def test_values_are_escaped_and_never_filled_twice():
    shown = translated("of_systems", n="{n}<script>")
    assert shown.striptags() == "of {n}<script> systems"
    assert "<script" not in shown


def test_json_in_a_script_element_can_not_end_it():
    text = json_text({"a": "</script><!--&\u2028"})
    assert not set("<>&\u2028") & set(text)
