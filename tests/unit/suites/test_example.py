"""The example teaches what is so: it can be read, and its nights are as its comments say."""

import sys
from pathlib import Path

import pyarrow.parquet as pq

from halluc_ray.suites.reading import read_suite
from halluc_ray.suites.tonight import spec_of_tonight

ROOT = Path(__file__).parents[3]


def test_the_examples_second_night_is_worse_at_products(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    import prepare_nightly

    from halluc_ray.storage import open_store

    prepare_nightly.main(open_store("out/nightly"))
    suite = read_suite("examples/nightly.yaml")
    wrong = []
    for date in ("2026-11-23", "2026-11-24"):
        spec = spec_of_tonight(suite, suite.specs[0], date=date).spec
        assert spec.slices == ("operation", "size")
        rows = pq.read_table(f"{spec.corpus.uri}/part-0.parquet").to_pylist()
        wrong.append([r["operation"] for r in rows if r["answer"] not in (r["truth"], "I don't know.")])
    assert wrong[0].count("times") < 30 < 100 < wrong[1].count("times")
    assert wrong[0].count("plus") == wrong[1].count("plus")
    sys.modules.pop("prepare_nightly")
