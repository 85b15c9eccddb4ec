"""Make the pages of a suite's site: all of them, or those of tonight, and the two indexes.

A page whose mark says that it was made from the same is left as it stands. Pages that hold more texts than
the suite's rule lets pass now are taken away first. Two at once: whoever puts an index lists the history and
the pages again after it, and puts it anew where they have grown; so the last to put has seen all that stood.
Called by the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from halluc_ray.errors import InputError, RunIncomplete, SpecError
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.nights import Night, read_nights
from halluc_ray.suites.releases import release_dates
from halluc_ray.suites.site.front_page import front_page
from halluc_ray.suites.site.marks import is_looser, is_stricter, read_mark
from halluc_ray.suites.site.night_pages import night_mark, night_page, run_mark, run_page
from halluc_ray.suites.site.suite_page import suite_page
from halluc_ray.suites.suite import Suite
from halluc_ray.suites.tonight import suite_store

_LOOKS = 5
_READERS = 16
OnPage = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What became of a site.

    Attributes:
        uri: of the suite's page.
        made: pages that were written, without the indexes.
        kept: pages that stood already.
        withdrawn: pages that held more than the rule lets pass, and were taken away.
        gone: nights whose run can't be shown any more, with the reason.
    """

    uri: str
    made: int
    kept: int
    withdrawn: int
    gone: tuple[str, ...]


def render_site(suite: Suite, *, pages: ObjectStore | None = None, on_page: OnPage | None = None) -> Rendered:
    """Make every page that does not stand as it would be made now.

    Args:
        suite: the suite.
        pages: where the site is written; default: into the suite's store.
        on_page: told how many nights of how many are done.

    Raises:
        SpecError: the suite's name can't be a folder of the site.
        StoreError: history or site can't be read or written.
    """
    store = suite_store(suite)
    return _render(suite, read_nights(store, suite.name), store, pages or store, on_page)


def render_nights(suite: Suite, nights: Sequence[Night]) -> Rendered:
    """Make the pages of some nights, and the indexes of all; raises as `render_site` does."""
    store = suite_store(suite)
    return _render(suite, nights, store, store, None)


def _render(
    suite: Suite, nights: Sequence[Night], store: ObjectStore, pages: ObjectStore, on_page: OnPage | None
) -> Rendered:
    if suite.name == "index.html":
        raise SpecError("a suite called index.html has no room in a site; give it another name")
    withdrawn = _withdraw(suite, pages)
    if is_stricter(read_mark(pages, keys.site_key(suite.name)), suite.publish.samples):
        _indexes(suite, store, pages)
    made = kept = 0
    gone = []
    for done, night in enumerate(nights, start=1):
        try:
            news = [_run(suite, night.run_id, store, pages), *_changes(suite, night, store, pages)]
            made, kept = made + sum(news), kept + news.count(False)
        except (InputError, RunIncomplete) as error:
            gone.append(f"{night.name}: {error}")
        if on_page is not None:
            on_page(done, len(nights))
    _indexes(suite, store, pages)
    return Rendered(f"{pages.uri.rstrip('/')}/{keys.site_key(suite.name)}", made, kept, withdrawn, tuple(gone))


def _run(suite: Suite, run_id: str, store: ObjectStore, pages: ObjectStore) -> bool:
    """Put the page of a run; False where it stands."""
    rule, key = suite.publish.samples, keys.run_page_key(suite.name, run_id)
    if read_mark(pages, key) == run_mark(suite.name, run_id, rule=rule):
        return False
    pages.put(key, run_page(store, suite.name, run_id, rule=rule))
    return True


def _changes(suite: Suite, night: Night, store: ObjectStore, pages: ObjectStore) -> list[bool]:
    """Put the page of what changed, and of the baseline's run; False where they stand, nothing where there is none."""
    rule, key = suite.publish.samples, keys.night_page_key(suite.name, night.name)
    if night.baseline is None:
        return []
    if read_mark(pages, key) == night_mark(store, night, rule=rule):
        return [False]
    page = night_page(store, night, rule=rule)
    if page is None:
        return []
    news = _run(suite, night.baseline.run_id, store, pages)
    pages.put(key, page)
    return [True, news] if news else [True]


def _withdraw(suite: Suite, pages: ObjectStore) -> int:
    """Take away pages that hold more texts than the suite lets pass now; how many there were.

    The suite's own page tells the loosest rule that any page was made under: it is written before the first page
    where the rule became looser, and last where it became stricter. As long as it is as strict as now, no page is
    opened.
    """
    rule, prefix = suite.publish.samples, keys.site_key(suite.name, "")
    standing = [info.key for info in pages.list(prefix) if info.key != keys.site_key(suite.name)]
    if not standing or not is_looser(read_mark(pages, keys.site_key(suite.name)), rule):
        return 0
    with ThreadPoolExecutor(_READERS) as pool:
        marks = list(pool.map(lambda key: read_mark(pages, key), standing))
    loose = [key for key, mark in zip(standing, marks, strict=True) if is_looser(mark, rule)]
    for key in loose:
        pages.delete(key)
    return len(loose)


def _indexes(suite: Suite, store: ObjectStore, pages: ObjectStore) -> None:
    """Put the suite's page and the list of suites, again as long as the history grows meanwhile."""
    before = _history(suite, store, pages)
    for _ in range(_LOOKS):
        page = suite_page(
            store,
            suite.name,
            nights=read_nights(store, suite.name),
            releases=release_dates(store, suite.name),
            standing=before[1],
            rule=suite.publish.samples,
            specs=[entry.name for entry in suite.specs],
        )
        pages.put(keys.site_key(suite.name), page)
        pages.put(keys.site_key(), front_page(store, pages=pages))
        after = _history(suite, store, pages)
        if after == before:
            return
        before = after


def _history(suite: Suite, store: ObjectStore, pages: ObjectStore) -> tuple[frozenset[str], frozenset[str]]:
    """What the indexes are made from: records and releases of all suites, and the pages of this one."""
    prefix = keys.site_key(suite.name, "")
    records = frozenset(i.key for i in store.list("suites/") if "/nights/" in i.key or "/releases/" in i.key)
    return records, frozenset(i.key.removeprefix(prefix) for i in pages.list(prefix)) | {"index.html"}
