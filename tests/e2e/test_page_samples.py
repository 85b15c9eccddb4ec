"""Reading samples on the page: filters, keys, addresses, languages, hostile texts, size."""

import json
import re

import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe

from halluc_ray.storage import open_store
from tests.e2e.pages import compared, open_page, written
from tests.unit.reports.handmade import Handmade, Row, Verdict

HOSTILE = "</script><script>window.owned=1</script><img src=x onerror='window.owned=2'>\"'&amp;{{7*7}}${1}"


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return compared(tmp_path_factory.mktemp("three"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    bad = Verdict("hallucinated", HOSTILE, (0, 9), HOSTILE)
    verdicts = (Verdict("supported"), bad, bad)
    texts = {"prompt": HOSTILE, "context": HOSTILE, "reference": HOSTILE, "response": HOSTILE}
    langs = [HOSTILE, None, "", "\u2028\u202e\U0001f600"] * 5
    rows = [
        Row(f"{at // 2} {HOSTILE}", (verdicts[at % 3],), f"{at % 2} {HOSTILE}", lang, **texts)
        for at, lang in enumerate(langs)
    ]
    kinds = ((f"judged {HOSTILE}", "recorded_label", {"column": HOSTILE}),)
    run = Handmade(open_store(str(folder / "out")), folder, rows, indicators=kinds)
    return written(run, run.publish(), spec_text=HOSTILE)


def numbers(page):
    """(answers, questions) that the live region tells."""
    found = re.findall(r"\d+", page.locator("#matches").inner_text().replace("\N{NARROW NO-BREAK SPACE}", ""))
    return (int(found[0]), int(found[1])) if found else (0, 0)


def counted(report, **where):
    """Rows of an outcome in report.json."""
    outcome = where.pop("outcome")
    return sum(r[outcome] for r in report["rates"] if all(r[key] == value for key, value in where.items()))


@pytest.mark.parametrize("indicator", ["number", "entity"])
@pytest.mark.parametrize("outcome", ["hallucinated", "supported", "abstained"])
def test_filters_find_what_the_report_counts(browser, three, indicator, outcome):
    report, html = three
    page = open_page(browser, html)
    page.select_option("[name=indicator]", indicator)
    page.select_option("[name=outcome]", outcome)
    assert numbers(page)[0] == counted(report, indicator=indicator, outcome=outcome, slice={})
    page.select_option("[name=system]", "model-1")
    assert numbers(page)[0] == counted(report, indicator=indicator, outcome=outcome, slice={}, system="model-1")
    page.select_option("[data-slice=lang]", "=ja")
    units, rows = numbers(page)
    assert (
        units == counted(report, indicator=indicator, outcome=outcome, slice={"lang": "ja"}, system="model-1") == rows
    )
    page.click("[type=reset]")
    assert numbers(page) == (120, 40)
    page.close()


def test_a_question_shows_the_answers_of_all_systems_with_evidence_marked(browser, three):
    page = open_page(browser, three[1])
    page.fill("[name=text]", "Question 7:")
    card = page.locator(".question")
    assert card.count() == 1
    assert card.locator("h4").all_inner_texts() == ["model-0", "model-1", "model-2"]
    assert card.get_by_text("Question 7: what does the text say?").count() == 1
    assert card.locator(".verdicts > li").count() == 6
    page.fill("[name=text]", "")
    page.select_option("[name=outcome]", "hallucinated")
    first = page.locator(".one:has(.badge.hallucinated)").first
    assert len(first.locator("mark").first.inner_text()) >= 1
    assert first.locator(".against").count() == first.locator(".badge.hallucinated").count()
    page.close()


def test_the_worst_slice_leads_to_its_samples(browser, three):
    report, html = three
    cells = [rate for rate in report["rates"] if rate["slice"]]
    worst = max((rate for rate in cells if rate["indicator"] == "number"), key=lambda rate: rate["low"])
    page = open_page(browser, html)
    row = page.locator("#worst tbody tr").first
    assert worst["system"] in row.inner_text()
    assert worst["slice"]["lang"] in row.inner_text()
    row.locator("a").click()
    assert page.locator("[name=system]").input_value() == worst["system"]
    assert numbers(page)[0] == worst["hallucinated"]
    page.close()


def test_an_address_holds_what_was_asked(browser, three):
    page = open_page(browser, three[1])
    page.select_option("[name=outcome]", "hallucinated")
    page.select_option("[data-slice=lang]", "=zh")
    page.select_option("[name=sort]", "worst")
    asked, found, address = (
        numbers(page),
        page.locator(".question h3").all_inner_texts(),
        page.evaluate("location.hash"),
    )
    page.close()
    again = open_page(browser, three[1], address=address)
    assert numbers(again) == asked
    assert again.locator(".question h3").all_inner_texts() == found
    assert again.locator("[name=sort]").input_value() == "worst"
    again.close()


def test_keys_walk_search_and_turn_pages(browser, three):
    page = open_page(browser, three[1])
    page.keyboard.press("j")
    focused = "document.activeElement.querySelector('h3')?.textContent"
    ids = page.locator(".question h3").all_inner_texts()
    assert page.evaluate(focused) == ids[0]
    page.keyboard.press("j")
    assert page.evaluate(focused) == ids[1]
    page.keyboard.press("k")
    assert page.evaluate(focused) == ids[0]
    for _ in ids:
        page.keyboard.press("j")
    assert page.locator("#page-of").inner_text().startswith("Page 2 ")
    assert page.evaluate(focused) == page.locator(".question h3").first.inner_text()
    page.keyboard.press("/")
    page.keyboard.type("Question 12:")
    assert numbers(page) == (3, 1)
    page.keyboard.press("Escape")
    assert numbers(page) == (120, 40)
    page.close()


def test_the_first_key_stop_skips_to_the_numbers(browser, three):
    page = open_page(browser, three[1])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.close()


def test_every_word_of_the_page_is_chinese_for_a_chinese_reader(browser, three):
    page = open_page(browser, three[1], locale="zh-CN")
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    words = page.locator("[data-t]").all_text_contents()
    assert [word for word in words if re.search("[a-z]{4}", word) and not re.search("[\u4e00-\u9fff]", word)] == []
    assert page.locator(".question").first.locator("h4").first.inner_text() == "model-0"
    page.select_option("#language", "en")
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("#glance-title").inner_text() == "At a glance"
    page.reload()
    page.wait_for_selector("#explorer:not([hidden])")
    assert page.locator("#glance-title").inner_text() == "At a glance"
    page.close()


def test_colours_can_be_chosen_against_the_systems(browser, three):
    paper = "getComputedStyle(document.body).backgroundColor"
    page = open_page(browser, three[1], scheme="dark")
    dark = page.evaluate(paper)
    page.select_option("#theme", "light")
    light = page.evaluate(paper)
    assert light != dark
    page.emulate_media(color_scheme="light")
    page.select_option("#theme", "auto")
    assert page.evaluate(paper) == light
    page.select_option("#theme", "dark")
    assert page.evaluate(paper) == dark
    page.close()


def test_paper_is_white_for_readers_in_the_dark_too(browser, three):
    page = open_page(browser, three[1], scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    colours = page.evaluate("(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))")
    assert colours == ["rgb(255, 255, 255)", "rgb(29, 27, 24)"]
    assert page.locator("#explorer").is_hidden()
    page.close()


def test_refused_storage_is_no_error(browser, three):
    page = browser.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    refuse = "get() { throw new DOMException('refused', 'SecurityError') }"
    page.add_init_script(f"Object.defineProperty(window, 'localStorage', {{ {refuse} }})")
    page.goto(three[1].as_uri())
    page.select_option("#theme", "dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert complaints == []
    page.close()


def test_an_old_browser_is_told_what_it_misses(browser, three):
    page = browser.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.add_init_script("delete window.DecompressionStream")
    page.goto(three[1].as_uri())
    page.wait_for_selector("#samples-old:not([hidden])")
    assert page.locator("#explorer").is_hidden()
    assert page.locator("#overview svg").count() == 2
    assert complaints == []
    page.close()


def test_the_signature_is_copied(browser, three):
    report, html = three
    page = open_page(browser, html)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("[data-copy=signature]")
    page.wait_for_selector("[data-copy=signature] >> text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == report["signature"]
    page.close()


def test_an_address_that_is_none_is_no_error(browser, three):
    for address in ("#%E0%A4%A", "#samples?page=-4&sort=zz&system=nobody&slice.nix=1", "#nowhere"):
        page = open_page(browser, three[1], address=address)
        assert page.complaints == []
        page.close()


def test_hostile_texts_stay_texts_in_every_column(browser, hostile):
    for locale in ("en-GB", "zh-CN"):
        page = open_page(browser, hostile[1], locale=locale)
        assert page.evaluate("window.owned") is None
        assert page.locator("img").count() == 0
        assert page.locator("#questions script").count() == 0
        assert page.complaints == []
        page.close()


def test_hostile_names_can_be_asked_for(browser, hostile):
    report, html = hostile
    page = open_page(browser, html)
    system = report["systems"][0]["system"]
    page.select_option("[name=system]", system)
    assert numbers(page)[0] == 10
    page.select_option("[data-slice=lang]", f"={HOSTILE}")
    assert numbers(page)[0] == counted(report, outcome="rows", slice={"lang": HOSTILE}, system=system)
    card = page.locator(".question").first
    assert card.locator("dd").first.inner_text() == HOSTILE
    assert page.evaluate("window.owned") is None
    page.close()


def test_a_policy_lets_nothing_else_run(browser, three, tmp_path):
    altered = tmp_path / "altered.html"
    html = three[1].read_text(encoding="utf-8")
    altered.write_text(
        html.replace("</main>", "<script>window.owned=1</script><p onclick='1'></p></main>"), encoding="utf-8"
    )
    page = open_page(browser, altered)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in complaint for complaint in page.complaints)
    page.close()


def test_without_a_script_the_numbers_are_there(browser, three):
    report, html = three
    page = open_page(browser, html, script=False)
    rates = [rate for rate in report["rates"] if rate["indicator"] == "number" and not rate["slice"]]
    shown = page.locator("#indicator-1 table.forest").first.locator(".big").all_inner_texts()
    assert [text.replace("\N{NO-BREAK SPACE}", " ") for text in shown] == [f"{100 * r['rate']:.1f} %" for r in rates]
    assert page.locator("article.sample").count() > 4
    assert page.locator("#controls").is_hidden()
    page.close()


@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-GB"), ("dark", "zh-CN")])
def test_axe_finds_nothing_amiss(browser, three, scheme, locale):
    page = open_page(browser, three[1], scheme=scheme, locale=locale)
    found = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"][:160] for node in one["nodes"][:3]]) for one in found] == []
    page.close()


def test_two_thousand_samples_of_real_length_fit_in_two_megabytes(browser, tmp_path, corpora):
    parts = sorted((corpora / "response_texts").glob("*.parquet"))
    texts = [text for text in pq.read_table(parts[0], columns=["response"])["response"].to_pylist()[:9000] if text]
    texts = [text for text in texts if len(text) > 40]
    report, html = compared(tmp_path, systems=16, ids=140, indicators=("a", "b", "c", "d", "e"), texts=texts)
    assert html.stat().st_size < 2_000_000
    page = open_page(browser, html)
    units, rows = numbers(page)
    assert units == 16 * rows == 2000
    assert len(report["rates"]) == 16 * 5 * 4
    assert page.locator("#overview svg").count() == 5
    assert page.complaints == []
    page.close()


def test_charts_show_every_system_and_the_numbers_of_the_report(browser, three):
    report, html = three
    page = open_page(browser, html)
    assert page.locator("#overview svg").count() == 2
    assert page.locator("#overview svg").first.locator("circle").count() == 3
    page.select_option("#every-slice select >> nth=0", "entity")
    texts = page.locator("#every-slice svg text").all_text_contents()
    cells = [text for text in texts if re.fullmatch(r"[0-9]+\.[0-9]", text)]
    rates = {f"{100 * r['rate']:.1f}" for r in report["rates"] if r["indicator"] == "entity" and r["slice"]}
    assert set(cells) == rates
    page.close()


def test_a_report_has_the_same_bytes_each_time(tmp_path):
    pages = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        pages.append(compared(tmp_path / name, ids=12)[1].read_bytes())
    assert pages[0] == pages[1]
    assert json.loads(re.search(rb'id="page-data">(.*?)</script>', pages[0]).group(1))["systems"][0] == "model-0"
