import pickle

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from halluc_ray.errors import ObjectMissing, StoreError, StoreUnavailable
from halluc_ray.storage.s3_errors import explained


def answer(code: str, status: int) -> ClientError:
    response = {"Error": {"Code": code, "Message": "said the server."}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "PutObject")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "status", "says"),
    [
        ("RequestTimeTooSkewed", 403, "clock is wrong"),
        ("ExpiredToken", 400, "token has expired"),
        ("PermanentRedirect", 301, "set store.region"),
        ("301", 301, "set store.region"),
        ("403", 403, "wrong keys"),
        ("NotImplemented", 501, "conditional writes"),
        ("SomethingNew", 418, "the server refused"),
    ],
)
def test_refusals_say_what_to_do(code: str, status: int, says: str) -> None:
    error = explained(answer(code, status), where="s3://b/k", doing="write", endpoint="http://host")
    assert type(error) is StoreError
    assert str(error).startswith("can not write s3://b/k at http://host: ")
    assert says in str(error)
    assert code in str(error)


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("Weird", 502), ("X", 429)])
def test_what_passes_is_retryable(code: str, status: int) -> None:
    error = explained(answer(code, status), where="s3://b/k", doing="read", endpoint=None)
    assert isinstance(error, StoreUnavailable)
    assert error.retryable


def test_missing_objects_have_their_own_class() -> None:
    for code in ("NoSuchKey", "404"):
        assert isinstance(explained(answer(code, 404), where="s3://b/k", doing="read", endpoint=None), ObjectMissing)


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        (boto.EndpointConnectionError(endpoint_url="http://h"), StoreUnavailable, "is the server up"),
        (boto.ReadTimeoutError(endpoint_url="http://h"), StoreUnavailable, "no answer"),
        (boto.ConnectTimeoutError(endpoint_url="http://h"), StoreUnavailable, "no answer"),
        (boto.ResponseStreamingError(error="cut"), StoreUnavailable, "no answer"),
        (boto.NoCredentialsError(), StoreError, "AWS_ACCESS_KEY_ID"),
        (boto.NoRegionError(), StoreError, "store.region"),
    ],
)
def test_what_botocore_raises(raised: boto.BotoCoreError, kind: type[StoreError], says: str) -> None:
    error = explained(raised, where="s3://b/k", doing="read", endpoint=None)
    assert type(error) is kind
    assert says in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
