"""The site is the same from a folder and from a real S3 server, which tells browsers that pages are pages."""

import secrets

from halluc_ray.storage import open_store
from halluc_ray.suites.site.rendering import render_nights
from halluc_ray.suites.suite import load_suite
from tests.unit.suites.histories import made_history


def test_a_folder_and_a_bucket_have_the_same_pages(tmp_path, s3_server):
    root = f"s3://{s3_server.bucket}/{secrets.token_hex(4)}"
    found = []
    for output, endpoint in ((str(tmp_path), "null"), (root, s3_server.endpoint)):
        store = open_store(output, endpoint=None if endpoint == "null" else endpoint)
        night = made_history(store, nights=4, systems=2)[-1]
        overrides = [f"output={output}", f"store.endpoint={endpoint}"]
        suite = load_suite("name: long\nspecs: [qa.yaml]", source="s", overrides=overrides)
        done = render_nights(suite, [])
        assert done.uri == f"{output}/site/long/index.html"
        found.append({info.key: store.read(info.key) for info in store.list("site/")})
    assert found[0] == found[1]
    assert set(found[0]) == {"site/index.html", "site/long/index.html"}
    told = {
        name: store._client().head_object(Bucket=s3_server.bucket, Key=f"{root.split('/')[-1]}/{name}")["ContentType"]
        for name in ("site/index.html", f"runs/{night.run_id}/report.json")
    }
    assert list(told.values()) == ["text/html; charset=utf-8", "application/json"]
