"""The page of a comparison in a real browser: its numbers, its languages, and texts that stay texts."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from halluc_ray.evaluation.comparing import compare
from halluc_ray.reports.comparison_page import render_comparison
from tests.e2e.pages import INJECTION, open_page
from tests.unit.engine.whole import COLUMNS, begin, spec_of, write

ROWS = 240


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparison")
    table = {
        "id": [f"{INJECTION}{k}" for k in range(ROWS)],
        "question": [f"数字 {k}？{INJECTION}" for k in range(ROWS)],
        "truth": [f"{k}" for k in range(ROWS)],
        "lang": [("en", "zh", None, INJECTION)[k % 4] for k in range(ROWS)],
        "old": [f"{k + (k % 9 == 0)} {INJECTION * (k % 2)}" for k in range(ROWS)],
        "new": [f"{k + (k % 7 == 0 or (k % 4 == 1 and k % 3 == 0))} {INJECTION * (k % 2)}" for k in range(ROWS)],
    }
    write(folder / "corpus" / "x.parquet", table, group_rows=ROWS)
    runs = [
        begin(
            spec_of(
                folder / "corpus",
                folder / "out",
                corpus={"columns": {**COLUMNS, "response": name}},
                systems=[{"kind": "recorded", "name": f"{name} {INJECTION}"}],
                indicators=[{"kind": "answer_mismatch", "mode": "contains"}],
                slices=["lang"],
                engine={"shard_rows": ROWS},
            )
        ).uri
        for name in ("old", "new")
    ]
    found = compare(*runs)
    html = folder / "comparison.html"
    html.write_text(render_comparison(found), encoding="utf-8")
    return found, html


def test_the_page_shows_the_differences_and_asks_the_network_for_nothing(browser, compared):
    found, html = compared
    page = open_page(browser, html, ready="#controls")
    [whole] = found.overall()
    cells = page.locator("#differences tbody tr").first.locator("th, td").all_inner_texts()
    assert cells[2] == str(whole.pairs)
    assert cells[5].replace("\N{MINUS SIGN}", "-") == f"{100 * whole.difference:+.2f}"
    assert page.locator("#slices tbody tr").count() == len(list(found.cells())) == 4
    assert page.locator("article.question").count() == len(found.flips) > 20
    assert page.evaluate("window.owned") is None
    assert page.locator("img").count() == 0
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert page.complaints == []
    page.close()


def test_both_languages_and_marked_evidence(browser, compared):
    _, html = compared
    page = open_page(browser, html, ready="#controls")
    page.locator("#language").select_option("zh")
    assert page.locator("#differences-title").inner_text() == "差值（B 减 A）"
    assert page.title().startswith("比较 ")
    page.locator("#theme").select_option("dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.close()


@pytest.mark.parametrize("width", [380, 1200])
def test_the_page_is_accessible_and_no_wider_than_the_window(browser, compared, width):
    page = open_page(browser, compared[1], ready="#controls")
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert found.violations_count == 0, json.dumps(found.response["violations"], indent=1)[:3000]
    page.close()
