"""The page in a real browser: what is read, what must not run, how wide it gets."""

import json
import random
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from halluc_ray.reports import write_reports
from halluc_ray.reports.render import PageContext
from halluc_ray.storage import keys, open_store
from halluc_ray.storage.files import list_files
from tests.unit.reports.handmade import Handmade, Row, Verdict

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
INJECTION = "<script>window.owned=1</script><img src=x onerror='window.owned=2'>"
ANSWERS = [
    (
        "en",
        "What is the capital of Australia?",
        "The capital of Australia is Sydney, on the coast.",
        "Sydney",
        "Canberra",
    ),
    ("zh", "澳大利亚的首都是哪座城市？", "澳大利亚的首都是悉尼，位于东南沿海。", "悉尼", "堪培拉"),
    ("en", "Which currency does Japan use?", "Japan pays in won.", "won", "yen | Japanese yen"),
]


def published(folder, *, systems=3, cells=0, rows=240, seed=0):
    """A run with long names, Chinese text and hostile ids; returns its report.json and report.html."""
    rng = random.Random(seed)
    names = [f"team/summariser-large-v{k}-instruct-with-a-long-name-{'x' * 20}" for k in range(systems - 1)]
    made = []
    for at in range(max(rows, cells)):
        lang, prompt, response, span, against = ANSWERS[at % 3]
        system = [*names, f"evil {INJECTION}"][at % systems]
        outcome = rng.choices(["hallucinated", "supported", "abstained", "failed"], [1 + at % systems, 9, 2, 0.3])[0]
        start = response.index(span)
        verdict = Verdict(outcome, "no_alias_matched", (start, start + len(span)), against)
        if outcome != "hallucinated":
            verdict = Verdict(outcome, {"abstained": "refusal", "failed": "null_response"}.get(outcome))
        lang = f"cell {at % cells:05d}" if cells else lang
        failure = "null_response" if outcome == "failed" else None
        id_ = f"{INJECTION}{at}" if at % 5 == 0 else f"row-{at:05d}"
        made.append(
            Row(
                id_, (verdict,), system, lang, prompt, "", against, f"{response} {INJECTION}", at % 90, at % 40, failure
            )
        )
    indicators = (("answer_mismatch", "answer_mismatch", {"mode": "exact"}),)
    left_out = {"where": 1200, "where_null": 3}
    store = open_store(str(folder / "out"))
    run = Handmade(store, folder, made, indicators=indicators, shard_rows=500, left_out=left_out, clustered=True)
    record = run.publish()
    page = PageContext(spec_text=f"corpus:\n  uri: facts  # {INJECTION}\n", versions={"ray": "2.60.0"})
    sources = {"f" * 64: list_files(str(folder / "corpus.parquet"))[0]}
    write_reports(store, record, run_id="0123456789abcdef", sources=sources, page=page)
    html = folder / "report.html"
    html.write_bytes(store.read(keys.run_key("0123456789abcdef", "report.html")))
    return json.loads(store.read(keys.run_key("0123456789abcdef", "report.json"))), html


@pytest.fixture(scope="module")
def browser():
    if not Path(CHROMIUM).is_file():
        pytest.skip("no chromium on this machine; install Debian's package chromium to look at the page")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return published(tmp_path_factory.mktemp("small"))


def open_page(browser, html, *, width=1280, scheme="light"):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.asked, page.complaints = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.complaints.append(message.text))
    page.goto(html.as_uri())
    return page


def test_texts_from_the_corpus_stay_texts(browser, small):
    page = open_page(browser, small[1])
    assert page.evaluate("window.owned") is None
    assert page.locator("img").count() == 0
    assert page.get_by_text("onerror='window.owned=2'").count() > 0
    page.close()


def test_the_page_asks_the_network_for_nothing_and_complains_of_nothing(browser, small):
    page = open_page(browser, small[1])
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert page.complaints == []
    page.close()


def test_the_page_shows_the_reports_rates(browser, small):
    report, html = small
    page = open_page(browser, html)
    rows = page.locator("#indicator-1 table.forest").first.locator("tbody tr")
    overall = [rate for rate in report["rates"] if not rate["slice"]]
    assert rows.count() == len(overall) == 3
    for at, rate in enumerate(overall):
        texts = rows.nth(at).locator("th, td").all_inner_texts()
        assert texts[0] == rate["system"]
        assert texts[1].replace("\N{NO-BREAK SPACE}", " ") == f"{100 * rate['rate']:.1f} %"
        assert texts[-1] == str(rate["rows"])
    page.close()


def test_the_interval_is_drawn_where_the_axis_says(browser, small):
    report, html = small
    page = open_page(browser, html)
    rate = next(rate for rate in report["rates"] if not rate["slice"])
    table = page.locator("#indicator-1 table.forest").first
    last = table.locator(".axis text").last
    top = float(last.text_content().replace("%", "")) / 100
    plot = table.locator("svg.interval").first.bounding_box()
    dot = table.locator("svg.interval circle").first.bounding_box()
    assert (dot["x"] + dot["width"] / 2 - plot["x"]) / plot["width"] == pytest.approx(rate["rate"] / top, abs=0.005)
    page.close()


def test_evidence_is_marked_and_held_against_the_truth(browser, small):
    page = open_page(browser, small[1])
    sample = page.locator("article.sample.hallucinated").first
    assert sample.locator("mark").inner_text() in {"Sydney", "悉尼", "won"}
    assert sample.locator("dt", has_text="Held against").count() == 1
    page.close()


def test_the_conservation_line_adds_up(browser, small):
    page = open_page(browser, small[1])
    terms = page.locator(".conservation b").all_inner_texts()
    whole, *parts = [int("".join(filter(str.isdigit, text))) for text in terms]
    assert whole == sum(parts) == 240 + 1203
    page.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_never_wider_than_the_screen(browser, tmp_path_factory, width, scheme):
    _, html = published(tmp_path_factory.mktemp("wide"), systems=16, cells=60, rows=640)
    page = open_page(browser, html, width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_thousands_of_cells_are_counted_and_the_largest_shown(browser, tmp_path_factory):
    report, html = published(tmp_path_factory.mktemp("cells"), systems=2, cells=4200, rows=5000)
    assert any("4096" in w or "104" in w for w in report["warnings"])
    page = open_page(browser, html)
    assert page.locator("table.cells tbody tr").count() == 40
    assert html.stat().st_size < 1_000_000
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser, small, scheme):
    page = open_page(browser, small[1], scheme=scheme)
    ratios = page.evaluate(
        """() => {
      const light = c => { const [r,g,b] = c.match(/[\\d.]+/g).map(Number).map(v => { v /= 255;
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126*r + 0.7152*g + 0.0722*b };
      const paper = light(getComputedStyle(document.body).backgroundColor);
      return ['.lede', '.measure', 'thead th', '.badge.hallucinated', '.badge.supported', '.brand', '.who'].map(s => {
        const ink = light(getComputedStyle(document.querySelector(s)).color);
        return [s, (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05)] }) }"""
    )
    assert [(name, ratio) for name, ratio in ratios if ratio < 4.5] == []
    page.close()


def test_on_a_phone_tables_are_still_tables_to_a_screen_reader(browser, small):
    page = open_page(browser, small[1], width=390)
    table = page.locator("#indicator-1").get_by_role("table").first
    assert table.get_by_role("row").count() == 3
    first = table.get_by_role("row").first
    assert first.get_by_role("rowheader").count() == 1
    assert first.get_by_role("cell").count() == 5
    assert first.get_by_role("img").get_attribute("aria-label").count("%") == 3
    page.close()
