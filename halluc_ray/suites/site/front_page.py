"""The list of suites: each with its last night, worst verdict first. Called by `rendering`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from halluc_ray.reports.assets import suites_assets
from halluc_ray.reports.templating import render_template
from halluc_ray.reports.words import json_text, page_words
from halluc_ray.storage import ObjectStore, keys
from halluc_ray.suites.nights import Night, read_nights, suites_of
from halluc_ray.suites.order import VERDICTS, last_of_specs, verdict_of, worst_verdict


@dataclass(frozen=True, slots=True)
class SuiteLine:
    """A suite with the nights of its last date, one for each spec."""

    name: str
    address: str
    date: str
    verdict: str
    nights: tuple[Night, ...]


def front_page(store: ObjectStore, *, pages: ObjectStore) -> bytes:
    """The page that lists the suites of a store.

    Args:
        store: of the history.
        pages: where the site lies; suites without a page there are listed without a link.

    Raises:
        StoreError: a history can't be read.
    """
    lines = [line for name in suites_of(store) if (line := _line(store, name, pages)) is not None]
    lines.sort(key=lambda line: (-VERDICTS.index(line.verdict), line.name))
    words = page_words()
    page = render_template(
        "suites.html.jinja",
        assets=suites_assets(),
        place=None,
        lines=lines,
        verdict_of=verdict_of,
        page_data=json_text({"run": "", "words": words | {"title": words["all_suites"]}}),
    )
    return page.encode()


def _line(store: ObjectStore, suite: str, pages: ObjectStore) -> SuiteLine | None:
    nights = read_nights(store, suite, last_date=True)
    if not nights:
        return None
    latest = last_of_specs(nights)
    tonight = tuple(latest[spec] for spec in sorted(latest))
    stands = pages.info(keys.site_key(suite)) is not None
    return SuiteLine(
        name=suite,
        address=f"{quote(suite)}/index.html" if stands else "",
        date=nights[0].date,
        verdict=worst_verdict([verdict_of(night) for night in tonight]),
        nights=_worst_first(tonight),
    )


def _worst_first(nights: Sequence[Night]) -> tuple[Night, ...]:
    return tuple(sorted(nights, key=lambda night: (-VERDICTS.index(verdict_of(night)), night.spec)))
