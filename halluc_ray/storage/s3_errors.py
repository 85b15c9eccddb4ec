"""What S3 and botocore raise, in the house's errors: what went wrong, where, what to do.

Knows codes and exceptions, makes no request. Caller: `s3`.
"""

from __future__ import annotations

from botocore import exceptions as boto
from botocore.exceptions import ClientError

from halluc_ray.errors import ObjectMissing, StoreError, StoreFull, StoreUnavailable

_CREDENTIALS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, the profile or the machine's role"
_REGION = "set store.region (or AWS_REGION) to the bucket's region"
_BY_CODE = {
    "NoSuchBucket": "there is no such bucket; create it, or mend the URI or store.endpoint",
    "AccessDenied": "these credentials may not do this; docs/storage.md lists the permissions that a run needs",
    "Forbidden": "wrong keys, or these credentials may not do this; docs/storage.md lists the permissions needed",
    "AllAccessDisabled": "the bucket is closed; ask its owner",
    "InvalidAccessKeyId": f"the server does not know the access key; {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key does not fit the access key; {_CREDENTIALS}",
    "InvalidToken": f"the session token is not valid; {_CREDENTIALS}",
    "ExpiredToken": f"the session token has expired; get a new one ({_CREDENTIALS}) and run again",
    "RequestTimeTooSkewed": "this machine's clock is wrong by more than the server allows; set it (NTP) and run again",
    "PermanentRedirect": f"the bucket is in another region; {_REGION}",
    "AuthorizationHeaderMalformed": f"the request was signed for another region; {_REGION}",
    "IllegalLocationConstraintException": f"the bucket is in another region; {_REGION}",
    "NotImplemented": "the server lacks what commits need (conditional writes); use another store, see docs/storage.md",
    "InvalidObjectState": "the object is archived; restore it first",
    "QuotaExceeded": "the store's quota is used up; free some space and run again, what is committed stands",
}
_BY_STATUS = {
    "403": "Forbidden",
    "301": "PermanentRedirect",
    "400": "AuthorizationHeaderMalformed",
    "501": "NotImplemented",
}
_MISSING = {"NoSuchKey", "404", "NotFound"}
_PASSING = {
    "SlowDown",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequests",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "OperationAborted",
    "ConditionalRequestConflict",
}
_UNREACHABLE = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ReadTimeoutError,
    boto.ResponseStreamingError,
    boto.FlexibleChecksumError,
)
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.TokenRetrievalError,
    boto.UnauthorizedSSOTokenError,
)


def code_of(error: ClientError) -> str:
    """S3's error code; for answers without a body, such as HEAD's, the HTTP status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status of the answer, 0 where there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def explained(error: ClientError | boto.BotoCoreError, *, where: str, doing: str, endpoint: str | None) -> StoreError:
    """The error to raise in place of `error`.

    Args:
        error: what botocore raised.
        where: URI of the object or bucket.
        doing: what was tried, such as `write`.
        endpoint: the server, None for AWS.
    """
    at = f"can not {doing} {where}" + (f" at {endpoint}" if endpoint else "")
    if isinstance(error, ClientError):
        return _refused(error, at=at, where=where)
    if isinstance(error, _UNREACHABLE):
        return StoreUnavailable(f"{at}: no answer ({error}); is the server up, and store.endpoint right?")
    if isinstance(error, _NO_CREDENTIALS):
        return StoreError(f"{at}: no credentials were found ({error}); {_CREDENTIALS}")
    if isinstance(error, boto.NoRegionError):
        return StoreError(f"{at}: no region is known; {_REGION}")
    return StoreError(f"{at}: {error}")


def _refused(error: ClientError, *, at: str, where: str) -> StoreError:
    code, status = code_of(error), status_of(error)
    if code in _MISSING:
        return ObjectMissing(f"{where} is not there")
    message = str(error.response.get("Error", {}).get("Message", "")).rstrip(".")
    if code in _PASSING or (status >= 500 and status != 501) or status == 429:
        return StoreUnavailable(
            f"{at}: the server is busy or failing ({status} {code} {message}); the same command goes on"
        )
    what_to_do = _BY_CODE.get(code) or _BY_CODE.get(_BY_STATUS.get(code, ""))
    kind = StoreFull if code == "QuotaExceeded" else StoreError
    return kind(f"{at}: {what_to_do or 'the server refused'} ({status} {code} {message})".replace(" )", ")"))
