"""The site of a suite: derived, the same each time, no more than may be published, never stale for long."""

import base64
import gzip
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from halluc_ray.errors import SpecError, StoreError
from halluc_ray.storage import open_store
from halluc_ray.storage.local import LocalStore
from halluc_ray.suites.nights import NightRate, read_nights, write_night
from halluc_ray.suites.releases import name_release
from halluc_ray.suites.site import rendering
from halluc_ray.suites.site.heat import heat_maps, scale_of, worst_by_increase, worst_by_rate
from halluc_ray.suites.site.latest import LatestNight, place_of
from halluc_ray.suites.site.marks import is_looser, mark_of, read_mark
from halluc_ray.suites.site.rendering import render_nights, render_site
from halluc_ray.suites.site.trend import missed_of, recent, trend_of
from halluc_ray.suites.suite import load_suite
from tests.unit.suites.histories import a_night, a_rate, day, made_history, real_suite
from tests.unit.suites.test_nights import a_night as a_record

SECRET = "Zanzibar77"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Three nights of real runs, the second worse; a secret in every text and id."""
    suite = real_suite(tmp_path_factory.mktemp("real"), rows=48, nights={0: "", 1: "refunds", 2: ""}, mark=SECRET)
    for night in (0, 1, 2):
        [spec] = a_night(suite, night).specs
        assert spec.error is None
    return suite


@pytest.fixture(scope="module")
def rendered(real, tmp_path_factory):
    """The whole site of these nights, and what making it said."""
    folder = tmp_path_factory.mktemp("site")
    return folder, render_site(real, pages=LocalStore(folder))


@pytest.fixture
def site(rendered, tmp_path):
    """A copy of it."""
    return LocalStore(shutil.copytree(rendered[0], tmp_path / "copy"))


def pages(store):
    return {info.key: store.read(info.key) for info in store.list("site/")}


def in_full(page):
    """A page with its packed samples unpacked."""
    text = page.decode()
    packed = re.search(r'id="samples-data">([^<]+)<', text)
    return text + (gzip.decompress(base64.b64decode(packed[1])).decode() if packed else "")


def test_a_site_is_the_same_each_time_and_what_is_lost_comes_back(real, rendered, site):
    nights = read_nights(open_store(real.output), "support")
    made = pages(site)
    assert sorted(made) == sorted(
        ["site/index.html", "site/support/index.html"]
        + [f"site/support/runs/{night.run_id}.html" for night in nights]
        + [f"site/support/nights/{night.name}.html" for night in nights[1:]]
    )
    assert (rendered[1].made, rendered[1].kept, rendered[1].gone) == (5, 0, ())
    for key in made:
        site.delete(key)
    again = render_site(real, pages=site)
    assert (again.made, again.kept) == (5, 0)
    assert pages(site) == made
    site.delete(f"site/support/runs/{nights[0].run_id}.html")
    site.delete("site/index.html")
    assert render_site(real, pages=site).made == 1
    assert pages(site) == made


def test_an_unchanged_site_costs_nothing_but_its_indexes(real, site, monkeypatch):
    monkeypatch.setattr(rendering, "run_page", None)
    monkeypatch.setattr(rendering, "night_page", None)
    assert (render_site(real, pages=site).made, render_site(real, pages=site).kept) == (0, 5)


@pytest.mark.parametrize("rule", ["none", "redacted", "all"])
def test_texts_are_on_the_pages_as_the_suite_allows(real, site, tmp_path, rule):
    store = site if rule == "all" else LocalStore(tmp_path)
    if rule != "all":
        render_site(published(real, rule), pages=store)
    found = [key for key, page in pages(store).items() if SECRET.lower() in in_full(page).lower()]
    assert len(found) == (5 if rule == "all" else 0)
    whole = "".join(in_full(page) for page in pages(store).values())
    assert ("Xxxxxxxx00" in whole) == (rule == "redacted")
    assert "topic" in whole
    assert "refunds" in whole
    assert ('<article class="question">' in whole) == (rule != "none")


def published(suite, rule):
    return suite.model_copy(update={"publish": suite.publish.model_copy(update={"samples": rule})})


def test_a_stricter_rule_takes_pages_away_that_hold_more(real, site, monkeypatch):
    store, nights = open_store(real.output), read_nights(open_store(real.output), "support")
    done = rendering._render(published(real, "none"), nights[-1:], store, site, None)
    assert (done.withdrawn, done.made) == (5, 3)
    left = pages(site)
    assert not [key for key, page in left.items() if SECRET in in_full(page)]
    index = left["site/support/index.html"].decode()
    linked = re.findall(r'href="((?:runs|nights)/[^"]+)"', index)
    assert {f"site/support/{address}" for address in linked} == left.keys() - {
        "site/index.html",
        "site/support/index.html",
    }
    monkeypatch.setattr(rendering, "run_page", lambda *_, **__: b"")
    monkeypatch.setattr(rendering, "night_page", lambda *_, **__: b"")
    assert rendering._render(real, nights, store, site, None).withdrawn == 0


def test_a_rule_that_was_loosened_for_a_moment_leaves_nothing(real, tmp_path, monkeypatch):
    """Whoever loosened it was killed before its last page; the strict rule's next call finds what it made."""
    store = LocalStore(tmp_path)
    render_site(published(real, "none"), pages=store)
    with monkeypatch.context() as killed:
        killed.setattr(rendering, "night_page", _killed)
        with pytest.raises(KeyboardInterrupt):
            render_site(real, pages=store)
    assert [key for key, page in pages(store).items() if SECRET in in_full(page)]
    nights = read_nights(open_store(real.output), "support")
    rendering._render(published(real, "none"), nights[-1:], open_store(real.output), store, None)
    assert not [key for key, page in pages(store).items() if SECRET in in_full(page)]


def _killed(*_, **__):
    raise KeyboardInterrupt


def test_marks():
    store = {}

    class Pages:
        def read_range(self, key, *, offset, length):
            return store[key][offset : offset + length]

    store["a"] = f'<meta name="halluc-ray-page" content="{mark_of("redacted", "x")}">'.encode()
    store["b"] = b"<html>"
    assert read_mark(Pages(), "a") == mark_of("redacted", "x") != mark_of("redacted", "y")
    assert read_mark(Pages(), "b") is None
    assert [is_looser(mark_of("redacted"), rule) for rule in ("none", "redacted", "all")] == [True, False, False]
    assert is_looser(None, "all")


def test_two_at_once_leave_an_index_that_tells_of_both(tmp_path, monkeypatch):
    """The slow one reads the history, the other records and renders, and then the slow one puts what it made."""
    suite = load_suite("name: qa\nspecs: [facts.yaml]", source="s", overrides=[f"output={tmp_path}"])
    store = open_store(str(tmp_path))
    write_night(store, a_record("2026-11-23"))
    put, raced = LocalStore.put, []

    def slow(self, key, data):
        if key == "site/qa/index.html" and not raced:
            raced.append(key)
            write_night(store, a_record("2026-11-24", "cd34"))
            render_nights(suite, [])
        return put(self, key, data)

    monkeypatch.setattr(LocalStore, "put", slow)
    render_nights(suite, [])
    assert b"2026-11-24" in store.read("site/qa/index.html")
    assert b"2026-11-24" in store.read("site/index.html")


def test_many_at_once(real, site):
    made = pages(site)
    [lost, *_] = [key for key in made if "/runs/" in key]
    site.delete(lost)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: render_site(real, pages=site), range(3)))
    assert pages(site) == made


def test_a_night_whose_run_is_gone_is_told_and_listed_without_a_link(tmp_path):
    suite = load_suite("name: qa\nspecs: [facts.yaml]", source="s", overrides=[f"output={tmp_path}"])
    store = open_store(str(tmp_path))
    write_night(store, a_record("2026-11-23"))
    done = render_site(suite)
    assert [reason.split(":")[0] for reason in done.gone] == ["2026-11-23-ab12"]
    index = store.read("site/qa/index.html").decode()
    assert "2026-11-23" in index
    assert "runs/ab12" not in index.split("<main")[1].split("page-data")[0]


def test_no_night_yet(tmp_path):
    suite = load_suite("name: qa\nspecs: [facts.yaml]", source="s", overrides=[f"output={tmp_path}"])
    render_site(suite)
    assert "No night yet" in open_store(str(tmp_path)).read("site/qa/index.html").decode()
    assert "No night is recorded" in open_store(str(tmp_path)).read("site/index.html").decode()


def test_a_damaged_report_is_named(tmp_path):
    suite = load_suite("name: long\nspecs: [qa.yaml]", source="s", overrides=[f"output={tmp_path}"])
    store = open_store(str(tmp_path))
    night = made_history(store, nights=3, systems=1)[-1]
    store.put(f"runs/{night.run_id}/report.json", b"{")
    with pytest.raises(StoreError, match=f"runs/{night.run_id}/report.json is no report"):
        render_nights(suite, [])


def test_a_name_that_is_a_page_is_refused(tmp_path):
    suite = load_suite("name: index.html\nspecs: [qa.yaml]", source="s", overrides=[f"output={tmp_path}"])
    with pytest.raises(SpecError, match="another name"):
        render_site(suite)


def test_a_release_is_a_line_in_the_trend(real):
    store = open_store(real.output)
    name_release(store, suite="support", release="v1", date=day(0))
    render_nights(real, [])
    assert f'["{day(0)}","v1"]' in store.read("site/support/index.html").decode()


def test_a_spec_that_left_the_suite_is_no_news(tmp_path):
    suite = load_suite("name: qa\nspecs: [facts.yaml]", source="s", overrides=[f"output={tmp_path}"])
    store = open_store(str(tmp_path))
    for night in (a_record("2026-11-23", spec="gone"), a_record("2026-11-24", "cd34")):
        write_night(store, night)
    render_nights(suite, [])
    page = store.read("site/qa/index.html").decode()
    assert page.count('<article class="card') == 1
    assert "No record for" not in page.split("page-data")[0]
    assert page.count('<tr data-spec="gone"') == 1


def test_what_is_missed_and_then_made_good_is_not_missed():
    nights = [
        a_record("2026-11-20"),
        a_record("2026-11-23", missed=("2026-11-21", "2026-11-22")),
        a_record("2026-11-22"),
    ]
    assert missed_of(nights) == ["2026-11-21"]


def test_the_latest_nights_are_kept_whole_dates_at_a_time(monkeypatch):
    rates = tuple(
        NightRate(**{f: getattr(a_rate("m", f"i{k}", 1, 10), f) for f in NightRate.model_fields}) for k in range(9)
    )
    nights = [a_record(day(k), run, rates=rates) for k in range(30) for run in ("aa", "bb")]
    monkeypatch.setattr("halluc_ray.suites.site.trend._MOST_RATES", 100)
    kept = recent(nights)
    assert [night.date for night in kept] == sorted(night.date for night in kept)
    assert {sum(night.date == date for night in kept) for date in {night.date for night in kept}} == {2}
    assert kept[-1].date == day(29)
    assert 5 * 18 <= sum(len(night.rates) for night in kept) <= 6 * 18


def latest(now, before=()):
    return LatestNight(a_record("2026-11-24"), tuple(now), {place_of(rate): rate for rate in before})


def test_columns_of_the_trend_say_what_the_records_say():
    rate = a_rate("m", "judged", 30, 200)
    night = a_record("2026-11-24", rates=(NightRate(**{f: getattr(rate, f) for f in NightRate.model_fields}),))
    other = a_record("2026-11-25", "cd", rates=())
    [spec] = trend_of([night, other], latest=[latest([rate], [a_rate("m", "judged", 10, 100)])], releases={})["specs"]
    [series] = spec["series"]
    assert series["hallucinated"] == [30, 0]
    assert series["defined"] == [200, 0]
    assert series["low"] == [round(rate.low * 100_000), -1]
    assert series["baseline"] == 10_000


def test_increases_are_ranked_by_newcombes_interval():
    whole = [a_rate("m", "judged", 90, 800)]
    now = [*whole, a_rate("m", "judged", 30, 100, {"t": "a"}), a_rate("m", "judged", 9, 12, {"t": "b"})]
    before = [a_rate("m", "judged", 10, 100, {"t": "a"}), a_rate("m", "judged", 4, 12, {"t": "b"})]
    first, second = worst_by_increase([latest(now, before)])
    assert (first.rate.slice, second.rate.slice) == ({"t": "a"}, {"t": "b"})
    assert (first.low, first.high) == pytest.approx(confint_proportions_2indep(30, 100, 10, 100, method="newcomb"))
    assert [found.rate.slice["t"] for found in worst_by_rate([latest(now, before)])] == ["b", "a"]


def test_a_heat_map_has_a_place_for_every_cell_and_says_what_it_leaves_out():
    names = [f"m{k:02}" for k in range(30)]
    now = [a_rate(name, "judged", k, 100) for k, name in enumerate(names)]
    now += [a_rate(name, "judged", 5, 50, {"t": f"c{k:02}"}) for name in names for k in range(50)]
    one = latest(now, [a_rate("m29", "judged", 9, 100)])
    [drawn] = heat_maps([one], scale_of([one]))
    assert (len(drawn.rows), drawn.hidden_rows, drawn.hidden_systems) == (41, 10, 6)
    assert drawn.indicators[0][1] == tuple(names[6:])
    assert drawn.rows[0].cells[-1].change == pytest.approx(0.2)
    assert (drawn.rows[0].cells[-1].level, drawn.rows[0].cells[-1].shift) == (8, 4)
    assert {len(row.cells) for row in drawn.rows} == {24}
