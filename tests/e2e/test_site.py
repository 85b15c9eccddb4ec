"""The site in a real browser, from files: how fast a long history is, what is read, filtered, linked, and never run."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from halluc_ray.storage import open_store
from halluc_ray.suites.nights import NightGate, NightRate, read_nights, write_night
from halluc_ray.suites.releases import name_release
from halluc_ray.suites.site.rendering import render_nights, render_site
from halluc_ray.suites.suite import load_suite
from tests.e2e.pages import INJECTION, open_page
from tests.unit.suites.histories import a_night, a_rate, day, made_history, real_suite
from tests.unit.suites.test_nights import a_night as a_record

MOST_BYTES, MOST_MS = 3_000_000, 2_000
FEW = """() => {
  for (const rows of ['.flips article:nth-child(n+2)', '#checks tr:nth-child(n+6)', '#slices tr:nth-child(n+6)'])
    document.querySelectorAll(rows).forEach(one => one.remove());
}"""


def index_of(folder, name):
    """The page of a suite whose history lies in a folder; its run pages are not made."""
    suite = load_suite(f"name: {name}\nspecs: [qa.yaml]", source="s", overrides=[f"output={folder}"])
    render_nights(suite, [])
    return folder / "site" / name / "index.html"


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """400 nights of 10 systems under 2 indicators, two of them missed."""
    folder = tmp_path_factory.mktemp("long")
    made = made_history(open_store(str(folder)))
    return made, index_of(folder, "long")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Three nights of real runs with one night missed, a release, and the whole site."""
    folder = tmp_path_factory.mktemp("real")
    suite = real_suite(folder, rows=36, nights={0: "", 1: "refunds", 3: ""})
    for night in (0, 1, 3):
        [spec] = a_night(suite, night).specs
        assert spec.error is None
    name_release(open_store(suite.output), suite="support", release="v1.2", date=day(0))
    render_site(suite)
    return suite, folder / "out" / "site"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Markup in every name and value that a record can hold."""
    folder = tmp_path_factory.mktemp("hostile")
    rate = a_rate(f"m {INJECTION}", f"judged {INJECTION}", 30, 100)
    rates = (NightRate(**{field: getattr(rate, field) for field in NightRate.model_fields}),)
    gate = NightGate(verdict="FAIL", reason=f"the worst slice is topic={INJECTION}", policy="p")
    store = open_store(str(folder))
    for night in range(3):
        write_night(store, a_record(day(night), f"{night:02x}", rates=rates, gate=gate))
    cell = a_rate(rate.system, rate.indicator, 20, 50, {f"topic {INJECTION}": INJECTION})
    said = {"run_id": "02", "failed_share": 0, "rates": [as_plain(rate), as_plain(cell)]}
    store.put("runs/02/report.json", json.dumps(said).encode())
    return index_of(folder, "qa")


def as_plain(rate):
    return {name: getattr(rate, name) for name in type(rate).__dataclass_fields__}


def open_site(browser, html, **options):
    return open_page(browser, html, ready="#controls", **options)


def assert_quiet(page):
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert page.complaints == []


def test_a_long_history_is_small_and_drawn_at_once(browser, long):
    made, html = long
    assert html.stat().st_size < MOST_BYTES
    took = []
    for _ in range(3):
        page = open_site(browser, html)
        page.wait_for_selector("#trend-charts svg")
        took.append(page.evaluate("performance.getEntriesByName('drawn')[0].startTime"))
        assert_quiet(page)
        page.close()
    assert len(made) == 398
    assert min(took) < MOST_MS, took  # the best: others may be at work on this machine


def test_the_numbers_behind_the_charts_are_those_of_the_records(browser, long):
    made, html = long
    page = open_site(browser, html)
    assert page.locator("#night-table tbody tr").count() == len(made)
    page.locator("#trend-numbers summary").press("Enter")
    rows = page.locator("#trend-numbers tbody tr")
    rows.first.wait_for()  # the table is made when its toggle is heard, a moment later
    assert rows.count() == 400
    shown = rows.first.locator("td").all_inner_texts()
    names = page.locator("#trend-numbers thead th").all_inner_texts()[1:]
    rates = {f"{rate.system} · {rate.indicator}": rate for rate in made[-1].rates}
    assert len(shown) == len(rates) == 20
    for name, text in zip(names, shown, strict=True):
        rate = rates[name]
        assert text.replace("\N{NO-BREAK SPACE}", " ").startswith(f"{100 * rate.rate:.1f} % ({100 * rate.low:.1f} %")
    page.locator("#trend-choices select[name=period]").select_option("30")
    assert rows.count() == 30
    assert page.get_by_text("missed").count() > 0
    page.close()


def test_nights_are_filtered_by_keyboard(browser, long):
    made, html = long
    page = open_site(browser, html)
    page.locator("#night-filters select[name=verdict]").focus()
    page.keyboard.press("f")
    failed = sum(night.gate.verdict == "FAIL" for night in made)
    visible = page.locator("#night-table tbody tr:visible")
    assert 0 < failed < len(made)
    assert visible.count() == failed
    assert page.locator("#night-count").inner_text() == f"{failed} of {len(made)} nights"
    page.goto(page.url)
    page.reload()
    assert visible.count() == failed
    page.locator("#night-filters button").press("Enter")
    page.wait_for_function(f"document.querySelectorAll('#night-table tbody tr:not([hidden])').length === {len(made)}")
    page.close()


def test_every_link_leads_to_a_page_that_stands(browser, real):
    _, site = real
    seen, todo = set(), [site / "index.html"]
    while todo:
        html = todo.pop()
        page = open_page(browser, html, ready="#controls")
        assert_quiet(page)
        links = page.eval_on_selector_all("a[href]", "found => found.map(one => one.href)")
        seen.add(html)
        for link in {link.split("#")[0] for link in links}:
            target = type(site)(link.removeprefix("file://"))
            assert target.is_file(), link
            if target not in seen and target not in todo:
                todo.append(target)
        page.close()
    assert seen == set(site.rglob("*.html"))
    assert len(seen) == 2 + 3 + 2


def test_the_state_of_tonight_is_seen_first(browser, real):
    suite, site = real
    nights = read_nights(open_store(suite.output), "support")
    page = open_site(browser, site / "support" / "index.html")
    assert page.locator("h1 .verdict").inner_text().lower() == nights[-1].gate.verdict.lower()
    card = page.locator("#tonight .card")
    assert nights[-1].gate.reason in card.inner_text()
    assert day(2) in card.inner_text()
    assert page.locator("#trend-charts svg").count() == 4
    assert page.get_by_text("v1.2").count() > 0
    page.close()
    page = open_site(browser, site / "index.html")
    assert page.locator(".card").count() == 1
    page.close()


def test_the_heat_map_shows_one_slice_and_its_rates(browser, real):
    suite, site = real
    night = read_nights(open_store(suite.output), "support")[-1]
    report = json.loads(open_store(suite.output).read(f"runs/{night.run_id}/report.json"))
    page = open_site(browser, site / "support" / "index.html")
    shown = page.locator("figure.heat:visible")
    assert shown.count() == 1
    page.locator("#heat-choices select[name=columns]").select_option("lang")
    cells = shown.locator("tbody td b").all_inner_texts()
    rates = {f"{100 * rate['rate']:.1f} %" for rate in report["rates"] if "topic" not in rate["slice"]}
    assert {text.replace("\N{NO-BREAK SPACE}", " ") for text in cells} == rates
    page.locator("#heat-choices select[name=shade]").select_option("change")
    assert page.locator(".of-change").is_visible()
    page.close()


def test_both_answers_of_a_flip_and_the_gates_checks(browser, real):
    suite, site = real
    night = read_nights(open_store(suite.output), "support")[1]
    page = open_site(browser, site / "support" / "nights" / f"{night.name}.html")
    checks = json.loads(open_store(suite.output).read(f"suites/support/gates/{night.name}/gate.json"))["checks"]
    assert page.locator("#checks tbody tr").count() == min(60, len(checks))
    flip = page.locator("article.question").first
    assert flip.locator(".one").count() == 2
    assert page.locator("article.question mark").count() > 0
    assert page.get_by_text("Got better").count() > 0
    assert page.get_by_text("Got worse").count() > 0
    page.close()


def test_names_and_values_stay_texts(browser, hostile):
    page = open_site(browser, hostile)
    page.wait_for_selector("#trend-charts svg")
    page.locator("#trend-numbers summary").press("Enter")
    assert page.evaluate("window.owned") is None
    assert page.locator("img").count() == 0
    assert page.get_by_text("onerror='window.owned=2'").count() > 3
    assert_quiet(page)
    page.close()


def test_one_night_and_no_script_read_well(browser, tmp_path):
    made_history(open_store(str(tmp_path)), nights=1, systems=2)
    html = index_of(tmp_path, "long")
    page = open_site(browser, html)
    assert page.get_by_text("A trend begins with the second.").is_visible()
    assert_quiet(page)
    page.close()
    page = open_page(browser, html, script=False)
    assert page.locator("figure.heat table").count() == page.locator("figure.heat:visible").count() == 2
    assert page.locator("#night-table tbody tr").count() == 1
    page.close()


def test_a_phone_shows_the_numbers_without_scrolling_sideways(browser, real):
    suite, site = real
    page = open_site(browser, site / suite.name / "index.html", width=390)
    assert _right_ends(page, "#worst td") <= 390
    night = open_site(browser, next((site / suite.name / "nights").glob("*.html")), width=390)
    assert _right_ends(night, "#checks td, #slices td") <= 390


def _right_ends(page, cells):
    """How far to the right the cells reach, in pixels."""
    ends = page.eval_on_selector_all(cells, "cells => cells.map(cell => cell.getBoundingClientRect().right)")
    assert len(ends) > 8
    return max(ends)


def test_two_nights_are_days_and_not_hours(browser, tmp_path):
    made_history(open_store(str(tmp_path)), nights=2)
    page = open_site(browser, index_of(tmp_path, "long"))
    page.wait_for_selector("#trend-charts svg")
    texts = page.locator("#trend-charts figure svg:last-of-type text").all_text_contents()
    assert [text for text in texts if text.startswith("20")], texts
    assert not [text for text in texts if text.endswith(("AM", "PM"))], texts


@pytest.mark.parametrize("width", [390, 1280])
def test_a_long_page_is_no_wider_than_the_window(browser, long, width):
    page = open_site(browser, long[1], width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("index.html", "light"),
        ("support/index.html", "light"),
        ("support/index.html", "dark"),
        ("support/nights/", "dark"),
    ],
)
def test_the_pages_are_accessible(browser, real, name, scheme):
    html = real[1] / name
    page = open_site(browser, html if html.is_file() else next(html.glob("*.html")), width=390, scheme=scheme)
    page.evaluate(FEW)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    found = Axe().run(page)
    assert found.violations_count == 0, (name, json.dumps(found.response["violations"], indent=1)[:3000])
    page.close()


def test_the_page_speaks_chinese(browser, real):
    page = open_site(browser, real[1] / "support" / "index.html", locale="zh-CN")
    assert page.locator("#trend-title").inner_text() == "趋势"
    assert page.title() == "评测套件 support"
    left = page.evaluate(
        """() => [...document.querySelectorAll('[data-t]')].map(e => e.textContent).filter(t => /[a-z]{4}/i.test(t))"""
    )
    known = ("Newcombe", "Wilson", "topic", "lang")
    assert [text for text in left if not any(name in text for name in known)] == []
    assert_quiet(page)
    page.close()
