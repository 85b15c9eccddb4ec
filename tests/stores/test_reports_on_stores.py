"""Reports and samples are the same from a folder and from a real S3 server."""

import secrets

from halluc_ray.reports import write_reports
from halluc_ray.reports.samples import samples
from halluc_ray.storage import keys, open_store
from halluc_ray.storage.files import list_files
from tests.unit.reports.handmade import Handmade, Row, Verdict


def made(store, folder, *, reverse=False):
    rows = [
        Row(
            f"r{at % 37}", (Verdict(("hallucinated", "supported", "abstained")[at % 3], "why"),), f"m{at % 4}", words=at
        )
        for at in range(90)
    ]
    return Handmade(store, folder, rows, shard_rows=7, reverse=reverse)


def test_a_folder_and_a_bucket_give_the_same_bytes(tmp_path, s3_server):
    bucket = open_store(f"s3://{s3_server.bucket}/{secrets.token_hex(4)}", endpoint=s3_server.endpoint)
    folder = open_store(str(tmp_path / "out"))
    found = []
    for store, reverse in ((folder, False), (bucket, True)):
        run = made(store, tmp_path, reverse=reverse)
        record = run.publish()
        write_reports(store, record, run_id="r")
        sources = {"f" * 64: list_files(str(tmp_path / "corpus.parquet"))[0]}
        table = samples(store, record, sources=sources, where="judged = 'hallucinated' AND system = 'm1'", limit=5)
        files = ("report.json", "counts.parquet", "verdicts.json", "report.html")
        found.append((table, [store.read(keys.run_key("r", name)) for name in files]))
    assert found[0] == found[1]
    assert len(found[0][0]) == 5
