"""The page in a real browser: what is read, what must not run, how wide it gets."""

import pytest

from tests.e2e.pages import open_page, published


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return published(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    return published(tmp_path_factory.mktemp("wide"), systems=16, cells=60, rows=640)


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


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_page_is_never_wider_than_the_screen(browser, wide, width):
    page = open_page(browser, wide[1], width=width)
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
