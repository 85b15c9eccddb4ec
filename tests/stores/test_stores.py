"""One contract for every store, and what only one kind can do wrong."""

import hashlib
import pickle
import secrets
import stat
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from halluc_ray.errors import ObjectChanged, ObjectMissing, SpecError, StoreError, StoreUnavailable
from halluc_ray.storage import ObjectStore, open_store
from halluc_ray.storage.probe import check_create_only, check_ranges, forget_nonce, leave_nonce, see_nonce
from infra.object_store.server import ObjectServer, free_ports


def keys_of(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


class TestEveryStore:
    def test_what_is_put_is_read(self, store: ObjectStore) -> None:
        data = secrets.token_bytes(300_000)
        info = store.put("a/b", data)
        assert store.read("a/b") == data
        assert store.info("a/b") == info
        assert info.size == len(data)
        store.put("empty", b"")
        assert store.read("empty") == b""

    def test_put_replaces_and_changes_the_etag(self, store: ObjectStore) -> None:
        old = store.put("a", b"old!")
        new = store.put("a", b"new!")
        assert store.read("a") == b"new!"
        assert old.etag != new.etag

    def test_put_new_is_refused_where_the_key_exists(self, store: ObjectStore) -> None:
        assert store.put_new("a/b", b"first") is True
        assert store.put_new("a/b", b"second") is False
        assert store.read("a/b") == b"first"
        store.delete("a/b")
        assert store.put_new("a/b", b"third") is True

    def test_sixteen_racers_have_one_winner(self, store: ObjectStore) -> None:
        barrier = threading.Barrier(16)

        def race(key: str, racer: int) -> bool:
            barrier.wait(30)
            return store.put_new(key, b"racer %d" % racer)

        with ThreadPoolExecutor(16) as pool:
            for turn in range(5):
                key = f"race/{turn}"
                won = list(pool.map(race, [key] * 16, range(16)))
                assert won.count(True) == 1
                assert store.read(key) == b"racer %d" % won.index(True)
        assert keys_of(store) == [f"race/{turn}" for turn in range(5)]

    def test_list_is_in_byte_order_and_exact(self, store: ObjectStore) -> None:
        keys = ["a/b", "a/b.json", "a/b-c", "a/b0", "a/b/c", "a!", "aé", "a/é", "a/Z", "ab", "a/b.d/e"]
        keys = [key for key in keys if key != "a/b"]  # a local folder can't also be a file
        for key in keys:
            store.put(key, key.encode())
        assert keys_of(store) == sorted(keys, key=str.encode)
        assert keys_of(store, "a/b") == sorted((key for key in keys if key.startswith("a/b")), key=str.encode)
        assert keys_of(store, "a/b/") == ["a/b/c"]
        assert keys_of(store, "nothing/here") == []
        assert {info.key: info.size for info in store.list("")} == {key: len(key.encode()) for key in keys}
        assert all(store.info(info.key) == info for info in store.list(""))

    def test_list_goes_past_one_page(self, store: ObjectStore) -> None:
        names = [f"p/{number:05d}" for number in range(1_050)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: store.put(name, b"x"), names))
        assert keys_of(store, "p/") == names

    def test_ranges(self, store: ObjectStore) -> None:
        etag = store.put("r", b"0123456789").etag
        assert store.read_range("r", offset=0, length=3) == b"012"
        assert store.read_range("r", offset=7, length=100) == b"789"
        assert store.read_range("r", offset=10, length=5) == b""
        assert store.read_range("r", offset=4, length=0) == b""
        assert store.read_range("r", offset=9, length=1, etag=etag) == b"9"

    def test_a_replaced_object_is_not_read_under_its_old_etag(self, store: ObjectStore) -> None:
        etag = store.put("r", b"0123456789").etag
        store.put("r", b"9876543210")
        with pytest.raises(ObjectChanged, match="changed while it was read"):
            store.read_range("r", offset=0, length=3, etag=etag)

    def test_missing_objects(self, store: ObjectStore) -> None:
        store.put("folder/object", b"x")
        for key in ("nothing", "folder", "folder/object/below"):
            assert store.info(key) is None
            with pytest.raises(ObjectMissing, match=key):
                store.read(key)
            with pytest.raises(ObjectMissing, match=key):
                store.read_range(key, offset=0, length=1, etag="0")
        store.delete("nothing")

    @pytest.mark.parametrize("key", ["", "/etc/x", "../x", "a/../../x", "a//b", "./a", "a/"])
    def test_keys_can_not_leave_the_root(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(StoreError, match="is no key of"):
            store.put(key, b"x")
        with pytest.raises(StoreError, match="is no key of"):
            store.put_new(key, b"x")

    def test_pickled_store_sees_the_same_objects(self, store: ObjectStore) -> None:
        store.put("a", b"x")
        other: ObjectStore = pickle.loads(pickle.dumps(store))
        assert other.uri == store.uri
        assert other.read("a") == b"x"
        assert other.put_new("a", b"y") is False

    def test_probes_pass_and_leave_nothing(self, store: ObjectStore) -> None:
        check_create_only(store)
        check_ranges(store)
        nonce = leave_nonce(store)
        see_nonce(pickle.loads(pickle.dumps(store)), nonce)
        forget_nonce(store, nonce)
        with pytest.raises(StoreError, match="does not see"):
            see_nonce(store, nonce)
        assert keys_of(store) == []


class TestLocal:
    def test_half_written_files_are_not_listed(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path))
        store.put("a/b", b"x")
        (tmp_path / "a" / ".tmp-0123").write_bytes(b"half")
        assert keys_of(store) == ["a/b"]
        assert keys_of(store, "a/") == ["a/b"]

    def test_no_temporary_file_stays(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path))
        store.put("a", b"x")
        store.put_new("a", b"y")
        store.put_new("b", b"y")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]

    def test_a_file_where_a_folder_should_be(self, tmp_path: Path) -> None:
        store = open_store(str(tmp_path))
        store.put("a", b"x")
        with pytest.raises(StoreError, match="a file is where a folder should be"):
            store.put("a/b", b"x")
        with pytest.raises(StoreError, match="a file is where a folder should be"):
            store.put_new("a/b", b"x")

    def test_full_disk(self, tmp_path: Path) -> None:
        script = (
            "from halluc_ray.storage import open_store\n"
            f"store = open_store({str(tmp_path)!r})\n"
            "for put in (store.put, store.put_new):\n"
            "    try:\n"
            "        put('big', bytes(1 << 20))\n"
            "    except Exception as error:\n"
            "        print(type(error).__name__, error)\n"
            "store.put_new('small', b'x')\n"
            "print([info.key for info in store.list('')])\n"
        )
        mount = f"mount -t tmpfs -o size=64k none {tmp_path} && exec {sys.executable} -c '$0'".replace("'$0'", '"$0"')
        done = subprocess.run(["unshare", "-rm", "sh", "-c", mount, script], capture_output=True, text=True, timeout=60)
        if "mount" in done.stderr or "unshare" in done.stderr:
            pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
        refusal = f"StoreFull can not write {tmp_path}/big: No space left on device; the disk is full"
        assert done.stdout.count(refusal) == 2, done.stdout + done.stderr
        assert "['small']" in done.stdout

    def test_a_folder_that_this_user_may_not_write(self) -> None:
        script = (
            "import os, sys\n"
            "from halluc_ray.storage import open_store\n"
            "if os.getuid() == 0:\n"
            "    os.seteuid(65534)\n"
            "open_store(sys.argv[1]).put_new('a', b'x')\n"
        )
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o555)
            done = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, timeout=60)
        assert f"StoreError: can not write {folder}/a: Permission denied; this user may not" in done.stderr

    def test_read_only_file_system(self) -> None:
        if not Path("/sys/kernel").is_dir():
            pytest.skip("no /sys here to stand for a place where nobody may write")
        with pytest.raises(StoreError, match=r"can not write /sys/kernel/out/a: .*; .*(output|access)"):
            open_store("/sys/kernel/out").put("a", b"x")

    def test_same_permissions_as_a_file_written_plainly(self, tmp_path: Path) -> None:
        open_store(str(tmp_path)).put_new("a", b"x")
        (tmp_path / "b").write_bytes(b"x")
        modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"}
        assert len(modes) == 1

    def test_uri_forms(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        folder = str(tmp_path / "o ut")
        assert {open_store(uri).uri for uri in ("./o ut", "o ut", folder, f"file://{tmp_path}/o%20ut")} == {folder}

    @pytest.mark.parametrize("uri", ["gs://a/b", "s3a://bucket/x", "http://host/x", "", "s3://", "file://host/x"])
    def test_other_uris_are_refused(self, uri: str) -> None:
        with pytest.raises(SpecError, match=r"s3://|file:///"):
            open_store(uri)


class TestS3:
    def test_sha256_is_kept_by_the_server(self, s3_server: ObjectServer) -> None:
        store = open_store(f"s3://{s3_server.bucket}/tests/sha", endpoint=s3_server.endpoint)
        data = secrets.token_bytes(1000)
        store.put("a", data)
        assert store.stored_sha256("a") == hashlib.sha256(data).hexdigest()  # type: ignore[attr-defined]

    def test_read_only_identity(self, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
        uri = f"s3://{s3_server.bucket}/tests/read-only"
        open_store(uri, endpoint=s3_server.endpoint).put("a", b"x")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.reader.access)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.reader.secret)
        reader = open_store(uri, endpoint=s3_server.endpoint)
        assert reader.read("a") == b"x"
        assert keys_of(reader) == ["a"]
        for write in (lambda: reader.put("b", b"x"), lambda: reader.put_new("b", b"x"), lambda: reader.delete("a")):
            with pytest.raises(StoreError, match=r"read-only/[ab] at .*may not do this.*docs/storage.md") as caught:
                write()
            assert not caught.value.retryable

    def test_wrong_secret(self, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        store = open_store(f"s3://{s3_server.bucket}/x", endpoint=s3_server.endpoint)
        with pytest.raises(StoreError, match=r"secret key does not fit.*AWS_SECRET_ACCESS_KEY"):
            store.put("a", b"x")
        with pytest.raises(StoreError, match="secret key does not fit"):
            keys_of(store)
        with pytest.raises(StoreError, match="wrong keys"):
            store.info("a")

    def test_unknown_access_key(self, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NOBODY")
        with pytest.raises(StoreError, match="does not know the access key"):
            open_store(f"s3://{s3_server.bucket}/x", endpoint=s3_server.endpoint).put("a", b"x")

    def test_no_credentials(self, s3_server: ObjectServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(StoreError, match="no credentials were found"):
            open_store(f"s3://{s3_server.bucket}/x", endpoint=s3_server.endpoint).put("a", b"x")

    def test_missing_bucket(self, s3_server: ObjectServer) -> None:
        store = open_store("s3://not-there/x", endpoint=s3_server.endpoint)
        for use in (lambda: store.put("a", b""), lambda: store.put_new("a", b""), lambda: keys_of(store)):
            with pytest.raises(StoreError, match=r"s3://not-there at .*no such bucket"):
                use()

    def test_nobody_listens(self, s3_server: ObjectServer) -> None:
        store = open_store("s3://evals/x", endpoint=f"http://127.0.0.1:{free_ports(1)[0]}")
        with pytest.raises(StoreUnavailable, match=r"is the server up, and store.endpoint right"):
            store.read("a")

    def test_endpoint_without_scheme(self) -> None:
        with pytest.raises(SpecError, match=r"store.endpoint 'localhost:9000'"):
            open_store("s3://evals/x", endpoint="localhost:9000").read("a")

    def test_server_is_killed_and_comes_back(self, s3_server: ObjectServer) -> None:
        store = open_store(f"s3://{s3_server.bucket}/tests/kill", endpoint=s3_server.endpoint)
        stored: dict[str, bytes] = {}
        stop = threading.Event()

        def write() -> None:
            number = 0
            while not stop.is_set():
                key, data = f"k/{number:05d}", secrets.token_bytes(2_000)
                try:
                    if store.put_new(key, data):
                        stored[key] = data
                except StoreUnavailable:
                    stop.wait(0.1)
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            while len(stored) < 20 and writer.is_alive():
                stop.wait(0.01)
            s3_server.kill()
            s3_server.start()
            before = len(stored)
            stop.wait(0.5)
        finally:
            stop.set()
            writer.join(60)
        assert len(stored) > before
        assert {info.key for info in store.list("k/")} >= stored.keys()
        assert all(store.read(key) == data for key, data in stored.items())


class _Careless(BaseHTTPRequestHandler):
    """An S3-like server that ignores conditions, as some do."""

    protocol_version = "HTTP/1.1"
    objects: ClassVar[dict[str, bytes]] = {}

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        self.objects[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def do_GET(self) -> None:
        self._answer(200, self.objects[self.path])

    def do_DELETE(self) -> None:
        self._answer(204)

    def log_message(self, *args: object) -> None:
        """Keep the tests' output clean."""


def test_a_store_that_ignores_conditions_is_refused(s3_server: ObjectServer) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Careless)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        store = open_store("s3://careless/x", endpoint=f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(StoreError, match="ignores If-None-Match"):
            check_create_only(store)
        with pytest.raises(StoreError, match="ranges do not work here"):
            check_ranges(store)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
