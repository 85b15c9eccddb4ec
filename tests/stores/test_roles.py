"""What each role may do, by the policies of the bucket, on a real S3 server that evaluates them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pandas as pd
import pytest
from botocore.exceptions import ClientError

from halluc_ray.errors import InputError, StoreError
from halluc_ray.evaluation.exporting import export_verdicts
from halluc_ray.evaluation.looking import find_samples
from halluc_ray.retention import collect
from halluc_ray.storage import keys, open_store
from halluc_ray.storage.commits import sweep
from halluc_ray.storage.probe import check_create_only, check_ranges
from halluc_ray.suites.exporter import Exporter
from halluc_ray.suites.nights import write_night
from halluc_ray.suites.site.rendering import render_site
from halluc_ray.suites.suite import Suite
from infra.object_store.roles import policy
from infra.object_store.server import Keys, ObjectServer, free_ports
from tests.unit.engine.whole import answers, begin, report_of, spec_of, write
from tests.unit.suites.test_nights import a_night

OUT = "s3://evals/out"
Become = Callable[[Keys], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectServer]:
    """One whose roles know the output under out/."""
    server = ObjectServer(tmp_path_factory.mktemp("roles"), port=free_ports(1)[0], root="out/")
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def become(server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> Become:
    """Use another identity's keys, for stores that are opened from now on."""

    def become(owner: Keys) -> None:
        for name, value in server.environment_of(owner).items():
            monkeypatch.setenv(name, value)
        shared_stores_are_opened_again()

    return become


def shared_stores_are_opened_again() -> None:
    from halluc_ray.storage.s3 import shared_store

    shared_store.cache_clear()


@pytest.fixture(scope="module")
def run_uri(server: ObjectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A whole evaluation by the job: corpus in the bucket, probes, commits, a sweep, report, a night."""
    corpus = write(tmp_path_factory.mktemp("corpus") / "a.parquet", answers(range(40)))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        open_store("s3://evals").put("corpora/qa/a.parquet", corpus.read_bytes())
        for name, value in server.environment_of(server.job).items():
            patch.setenv(name, value)
        shared_stores_are_opened_again()
        store = open_store(OUT)
        check_create_only(store)
        check_ranges(store)
        run = begin(spec_of("s3://evals/corpora/qa", OUT, slices=["topic"], engine={"shard_rows": 20}))
        for system in run.record().systems:
            sweep(store, system.count)
        assert report_of(run)["rates"][0]["rows"] == 40
        write_night(store, a_night("2026-11-24", run_id=run.run_id))
        yield run.uri


def test_the_job_evaluates_collects_and_is_kept_to_its_keys(run_uri: str, server: ObjectServer, become: Become):
    become(server.job)
    assert collect(open_store(OUT), keep_s=86_400, wait_s=0).to_json()
    assert list(open_store("s3://evals/corpora").list("qa/"))
    bucket = open_store("s3://evals")
    for key in ("corpora/qa/a.parquet", "mine.txt", "out/mine.txt", "outlet/runs/r"):
        with pytest.raises(StoreError, match="403"):
            bucket.put(key, b"x")
    with pytest.raises(StoreError, match="403"):
        bucket.delete("corpora/qa/a.parquet")
    with pytest.raises(StoreError, match="403"):
        list(bucket.list(""))


def test_the_reader_reads_and_lists_and_writes_nothing(
    run_uri: str, server: ObjectServer, become: Become, tmp_path: Path
):
    become(server.reader)
    store = open_store(OUT)
    exporter = Exporter(store, runs=1)
    assert exporter.refresh() is None
    assert not exporter.is_empty
    with pytest.raises(InputError, match="gone or have changed"):
        export_verdicts(run_uri, str(tmp_path / "texts"), form="parquet", texts=True)
    done = export_verdicts(run_uri, str(tmp_path / "verdicts"), form="parquet", slices=False)
    assert done.rows == len(pd.read_parquet(tmp_path / "verdicts")) == 40
    assert set(find_samples(run_uri, where=None, limit=9)["prompt"].to_pylist()) == {None}, (
        "the corpus is not for readers"
    )
    for key in ("runs/x/run.json", "site/index.html", "probes/x", keys.cancel_key("x")):
        with pytest.raises(StoreError, match="403"):
            store.put(key, b"x")
        with pytest.raises(StoreError, match="403"):
            store.put_new(key, b"x")
        with pytest.raises(StoreError, match="403"):
            store.delete(key)
    with pytest.raises(StoreError, match="403"):
        open_store("s3://evals").read("corpora/qa/a.parquet")


def test_the_publisher_makes_the_site_and_nothing_else(run_uri: str, server: ObjectServer, become: Become):
    become(server.publisher)
    suite = Suite.model_validate({"name": "qa", "specs": ["qa.yaml"], "output": OUT, "publish": {"samples": "none"}})
    assert render_site(suite).made == 1
    store = open_store(OUT)
    assert b"<html" in store.read(keys.site_key("qa"))
    store.delete(keys.site_key("qa"))
    assert store.info(keys.site_key("qa")) is None
    for key in ("runs/x/run.json", "suites/qa/nights/2026-11-25-x.json", "specs/x.json", "sites", "gc/marks/x.json"):
        with pytest.raises(StoreError, match="403"):
            store.put(key, b"x")
    report = run_uri.removeprefix(f"{OUT}/") + "/report.json"
    with pytest.raises(StoreError, match="403"):
        store.delete(report)
    assert json.loads(store.read(report))["rates"]


def test_a_run_is_exported_from_bucket_to_bucket(run_uri: str, server: ObjectServer, become: Become):
    become(server.admin)
    done = export_verdicts(run_uri, "s3://evals/shared/qa", form="csv", texts=True)
    assert done.uri == "s3://evals/shared/qa"
    shared = open_store("s3://evals/shared/qa")
    assert [info.key for info in shared.list("")] == ["_export.json", "part-00000.csv"]
    with pytest.raises(InputError, match="--overwrite"):
        export_verdicts(run_uri, "s3://evals/shared/qa", form="csv")
    shared.put("export-is-unfinished.csv", b"")
    export_verdicts(run_uri, "s3://evals/shared/qa", form="csv")
    assert [info.key for info in shared.list("")] == ["_export.json", "part-00000.csv"]


def test_the_buckets_own_policy_refuses_plain_http_to_everybody(server: ObjectServer, become: Become):
    become(server.admin)
    client = boto3.client("s3", endpoint_url=server.endpoint)
    client.create_bucket(Bucket="closed")
    client.put_object(Bucket="closed", Key="a", Body=b"")
    client.put_bucket_policy(Bucket="closed", Policy=json.dumps(policy("bucket", bucket="closed")))
    with pytest.raises(ClientError, match="AccessDenied"):
        client.get_object(Bucket="closed", Key="a")
