"""Asks an S3 bucket for an object's ETag, version and size, by pyarrow's own client; downloads nothing.

Credentials, region and profile are found as every AWS program finds them. Servers other than Amazon's are named by
AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, or in the URL as pyarrow has it: `s3://bucket/key?endpoint_override=…`.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl

from .found import Found, Unreachable

_OPTIONS = ("endpoint_override", "region", "scheme")
_CONNECT_SECONDS = 3.0
_REQUEST_SECONDS = 5.0


def find_object(url: str) -> Found:
    """Return what S3 says of `s3://bucket/key`.

    One HEAD request and one repetition, of at most three seconds to connect and five to answer each. Raises Unreachable
    for anything but an object that can be seen from here.
    """
    place, options = _split_options(url.partition("://")[2])
    bucket, _, key = place.rpartition("@")[2].partition("/") if "@" in place.partition("/")[0] else place.partition("/")
    if not bucket or not key or key.endswith("/"):
        raise Unreachable("it names a bucket or a prefix, not an object")
    metadata = _read_metadata(f"{bucket}/{key}", options)
    etag, size = metadata.get("ETag", ""), metadata.get("Content-Length", "")
    facts = {
        "origin": "s3",
        "etag": etag,
        "version": metadata.get("VersionId", ""),
        "modified": metadata.get("Last-Modified", ""),
    }
    return Found(f"etag:{etag}" if etag else "", int(size) if size.isdigit() else None, facts)


def _split_options(rest: str) -> tuple[str, dict[str, str]]:
    """Return bucket and key, and the options behind a `?`; a question mark may also be part of a key."""
    place, mark, query = rest.rpartition("?")
    options = dict(parse_qsl(query))
    return (place, options) if mark and options and options.keys() <= set(_OPTIONS) else (rest, {})


def _read_metadata(place: str, options: dict[str, str]) -> dict[str, str]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    given: dict[str, Any] = {"endpoint_override": endpoint, **options} if endpoint else dict(options)
    try:
        from pyarrow import fs

        retries = fs.AwsStandardS3RetryStrategy(max_attempts=2)
        client = fs.S3FileSystem(
            connect_timeout=_CONNECT_SECONDS, request_timeout=_REQUEST_SECONDS, retry_strategy=retries, **given
        )
        with client.open_input_stream(place) as stream:
            return {key: value.decode("utf-8", "replace") for key, value in stream.metadata().items()}
    except FileNotFoundError:
        raise Unreachable("there is no such object") from None
    except (ImportError, AttributeError):
        raise Unreachable("this pyarrow is built without S3") from None
    except (OSError, ValueError) as error:
        raise Unreachable(f"{error}"[:300]) from None
