"""The exporter on a real S3 server, with the keys of one who may only read, and with nobody's."""

import pytest

from halluc_ray.storage import open_store
from halluc_ray.suites.exporter import Exporter
from halluc_ray.suites.nights import write_night
from infra.object_store.server import ObjectServer
from tests.unit.suites.test_nights import a_night


def series(exporter: Exporter) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in exporter.collect()}


def test_reading_and_listing_is_all_it_needs(s3_server: ObjectServer, tmp_path, monkeypatch: pytest.MonkeyPatch):
    uri = f"s3://{s3_server.bucket}/exporter-{tmp_path.name}"
    write_night(open_store(uri, endpoint=s3_server.endpoint), a_night("2026-11-24", failed_share=0.5))

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.reader.access)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.reader.secret)
    reader = Exporter(open_store(uri, endpoint=s3_server.endpoint), runs=1)
    assert reader.refresh() is None
    assert series(reader)["halluc_ray_night_failed_share"] == 0.5

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NOBODY")
    nobody = Exporter(open_store(uri, endpoint=s3_server.endpoint), runs=1)
    assert nobody.refresh() is not None
    assert series(nobody)["halluc_ray_exporter_up"] == 0
    assert "halluc_ray_night_failed_share" not in series(nobody)
