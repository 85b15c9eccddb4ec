"""What is inlined in the page: the published libraries, scripts that parse, a policy that names them."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import halluc_ray.reports
from halluc_ray.reports.assets import comparison_assets, page_assets, suite_assets, suites_assets

FOLDER = Path(halluc_ray.reports.__file__).parent
VENDORED = json.loads((FOLDER / "vendor" / "vendor.json").read_text())
SCRIPTS = sorted((FOLDER / "templates").glob("*.js"))


@pytest.mark.parametrize("entry", VENDORED, ids=lambda entry: entry["file"])
def test_a_library_is_the_published_file(entry):
    data = (FOLDER / "vendor" / entry["file"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert f"v{entry['version']} Copyright" in data[:120].decode()
    assert b"</script" not in data
    assert "Permission to use, copy, modify" in (FOLDER / "vendor" / entry["license_file"]).read_text()


PAGES = {"report": page_assets, "comparison": comparison_assets, "suite": suite_assets, "suites": suites_assets}


@pytest.mark.parametrize("assets", [made() for made in PAGES.values()], ids=list(PAGES))
def test_the_policy_names_what_is_inlined_and_nothing_else(assets):
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'" for text in assets.scripts
    ]
    assert f"script-src {' '.join(hashes)};" in assets.policy
    assert assets.policy.startswith("default-src 'none'")
    assert "unsafe" not in assets.policy


def test_every_script_is_on_a_page():
    inlined = {script for made in PAGES.values() for script in made().scripts}
    assert {script.read_text(encoding="utf-8") for script in SCRIPTS} <= inlined
    assert len(inlined) == len(VENDORED) + len(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_parses_and_writes_no_markup(script):
    text = script.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)
    assert "</script" not in text
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine to parse the script with")
    done = subprocess.run([node, "--check", str(script)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_function_of_a_script_is_one_thought(script):
    lines = script.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 250
    starts = [at for at, line in enumerate(lines) if re.match(r"  (async )?\w+\(.*\) \{$", line)]
    ends = [at for at, line in enumerate(lines) if line == "  },"]
    assert [lines[at] for at in starts if next(end for end in ends if end > at) - at > 60] == []
