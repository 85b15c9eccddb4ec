"""A stand-in for the Kubernetes API server: TLS, a service account's token, get and create of RayJobs by name."""

import contextlib
import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

RAYJOBS = "/apis/ray.io/v1/namespaces/halluc-ray/rayjobs"
TOKEN = "token-of-the-service-account"


@dataclass(slots=True)
class ApiServer:
    """What it holds, and where it answers.

    Attributes:
        rayjobs: by name; of a create, the object as it came.
        fail_after_create: answer the next create with 503, after it was done.
        requests: method and path, in order.
        environment: what a pod of the cluster would see.
    """

    rayjobs: dict[str, dict[str, Any]]
    environment: dict[str, str] = field(default_factory=dict)
    fail_after_create: bool = False
    requests: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, method: str, path: str, *, token: str | None, body: dict[str, Any] | None) -> tuple[int, Any]:
        """Status and object that the API server would give."""
        self.requests.append((method, path))
        if token != f"Bearer {TOKEN}":
            return 401, {"reason": "Unauthorized"}
        if method == "GET":
            found = self.rayjobs.get(path.removeprefix(f"{RAYJOBS}/"))
            return (200, found) if found else (404, {"reason": "NotFound"})
        if path != RAYJOBS or body is None:
            return 405, {"reason": "MethodNotAllowed"}
        name = body["metadata"]["name"]
        if name in self.rayjobs:
            return 409, {"reason": "AlreadyExists"}
        self.rayjobs[name] = body
        if self.fail_after_create:
            self.fail_after_create = False
            return 503, {"reason": "ServiceUnavailable"}
        return 201, body


@contextlib.contextmanager
def serving(api: ApiServer, *, folder: Path) -> Iterator[ApiServer]:
    """The API server on a port of its own; certificate and token lie in `folder` as in a pod."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do("GET", None)

        def do_POST(self) -> None:
            self._do("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def _do(self, method: str, body: dict[str, Any] | None) -> None:
            status, found = api.answer(method, self.path, token=self.headers["Authorization"], body=body)
            payload = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    _write_certificate(folder)
    (folder / "token").write_text(TOKEN + "\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.crt", folder / "key.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        api.environment = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.server_address[1]),
            "SERVICE_ACCOUNT": str(folder),
        }
        yield api
        server.shutdown()
        thread.join(timeout=10)


def _write_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
