"""Tonight's checkpoint among those of a registry."""

import pytest

from halluc_ray.config import Store
from halluc_ray.errors import InputError, SpecError
from halluc_ray.suites.checkpoints import find_checkpoint, is_pattern


@pytest.fixture
def registry(tmp_path):
    names = ("2026-11-23-step900", "2026-11-24-step900", "2026-11-24-step1000", "2026-11-25-step1", "größe 2", "a/b")
    for name in names:
        folder = tmp_path / "tuned" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    (tmp_path / "tuned" / "2026-11-24-step2000").mkdir()  # no checkpoint yet: it is still being written
    adapter = tmp_path / "tuned" / "lora-2026-11-24"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    return tmp_path / "tuned"


def find(pattern, date="2026-11-24"):
    return find_checkpoint(str(pattern), date=date, store=Store(), where="checkpoint")


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{date}*", "2026-11-24-step1000"),
        ("{date}-step900", "2026-11-24-step900"),
        ("2026-*", "2026-11-25-step1"),
        ("2026-11-2[34]-*", "2026-11-24-step1000"),
        ("lora-{date}", "lora-2026-11-24"),
        ("*/b", "a/b"),
        ("größe ?", "größe 2"),
        ("{date}*/", "2026-11-24-step1000"),
    ],
)
def test_the_last_match_in_natural_order_is_tonights(registry, pattern, name):
    found = find(registry / pattern if not pattern.endswith("/") else f"{registry}/{pattern}")
    assert (found.uri, found.name) == (f"{registry}/{name}", name)


def test_what_is_not_there_is_said_with_what_is(registry):
    with pytest.raises(InputError) as trouble:
        find(registry / "{date}*", date="2026-12-01")
    assert f"checkpoint: no checkpoint at {registry}/2026-12-01*; the last ones in {registry}: " in str(trouble.value)
    with pytest.raises(InputError, match="holds none at all"):
        find(registry / "none" / "*")


@pytest.mark.parametrize("pattern", ["{date}", "*"])
def test_a_pattern_needs_a_registry_to_look_in(pattern):
    with pytest.raises(SpecError, match=r"checkpoint: .* has no folder before the pattern; write registry/"):
        find(pattern)


def test_what_is_a_pattern():
    assert [is_pattern(text) for text in ("s3://m/{date}", "m/*", "m/[ab]", "org/name", "./out/m")] == [
        True, True, True, False, False,
    ]  # fmt: skip
