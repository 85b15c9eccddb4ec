"""Takes the pictures of the site: 14 nights of real runs in a folder, its pages, and a browser on them.

Usage, from the repository's root: python -m docs.pictures.take FOLDER
"""

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from halluc_ray.suites.releases import name_release
from halluc_ray.suites.site.rendering import render_site
from halluc_ray.suites.tonight import suite_store
from tests.e2e.conftest import CHROMIUM
from tests.unit.suites.histories import a_night, day, real_suite

NIGHTS = {night: "" for night in range(16) if night not in (5, 9)} | {7: "refunds", 15: "shipping"}
ROWS = 480
RELEASED = 3


def main(folder: Path) -> None:
    """Run the nights, make the site, take the pictures."""
    suite = real_suite(folder, rows=ROWS, nights=NIGHTS)
    for night in sorted(NIGHTS):
        a_night(suite, night)
        if night == RELEASED:
            name_release(suite_store(suite), suite=suite.name, release="v1.2", date=day(night))
    render_site(suite)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1180, "height": 1480}, color_scheme="light")
        page.goto((folder / "out" / "site" / suite.name / "index.html").as_uri())
        page.wait_for_selector("#trend-charts svg")
        page.screenshot(path=Path(__file__).with_name("trend.png"))
        page.locator("#heat").scroll_into_view_if_needed()
        box = page.locator("#heat").bounding_box()
        page.evaluate("top => window.scrollBy(0, top)", box["y"] if box else 0)
        page.set_viewport_size({"width": 1180, "height": 1120})
        page.screenshot(path=Path(__file__).with_name("heat.png"))
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
