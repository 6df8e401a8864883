"""What a failed request to a Git LFS server means: its status and its words, sorted by what a person can do about them.

The statuses are those of git-lfs's docs/api/batch.md and RFC 9110. Pure: answers in, errors out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from ..git import clean_text
from .remote import ContentFailed, RemoteUnusable

_LONGEST_WORDS = 400
_LONGEST_WAIT = 7 * 24 * 3600.0
# What servers say that know nothing of Git LFS.
ABSENT = (404, 410, 405, 406, 415, 501)
_WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)


def clean_words(words: object) -> str:
    """Return what a server said in one line that is safe to print; "" for what is no text."""
    if not isinstance(words, str):
        return ""
    text = clean_text(words[: 4 * _LONGEST_WORDS].encode("utf-8", "replace"))
    return " ".join(re.sub(r"(https?://[^\s?#]+)[?#]\S+", r"\1", text).split())[:_LONGEST_WORDS]


def find_wait(headers: Mapping[str, str], *, now: float) -> float:
    """Return how many seconds `Retry-After` asks for (RFC 9110: seconds, or a date), 0 where it asks for none."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(float(value), _LONGEST_WAIT)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, IndexError, TypeError):
        return 0.0
    when = when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)
    return min(max((when - datetime.fromtimestamp(now, timezone.utc)).total_seconds(), 0.0), _LONGEST_WAIT)


def explain_status(status: int, words: str, *, server: str, remote: str, url: str, wait: float) -> ContentFailed:
    """Return the error for the answer to a request about the remote as a whole.

    `server` is what it is called in messages, `remote` the name of the Git remote it belongs to.
    """
    said = f": {words}" if words else ""
    enter = f"git ls-remote {remote}  # git has to get in first"
    if status == 401:
        return RemoteUnusable(f"{server} does not accept who you are{said}", hint=enter)
    if status == 403:
        return RemoteUnusable(f"{server} does not let you do this{said}", hint=f"git push --dry-run {remote} HEAD")
    if status in (404, 410):
        return RemoteUnusable(
            f"there is no Git LFS at {url}, or you may not see it{said}", hint=f"git config remote.{remote}.lfsurl URL"
        )
    if status in ABSENT:
        return RemoteUnusable(
            f"{server} does not speak the batch API of Git LFS (status {status}){said}",
            hint=f"git config remote.{remote}.lfsurl URL",
        )
    return explain_transfer(status, words, what="the request", server=server, wait=wait, sending=True)


def explain_transfer(status: int, words: str, *, what: str, server: str, wait: float, sending: bool) -> ContentFailed:
    """Return the error for the answer to a request about one content, which `what` names and which was `sending` it."""
    said = f": {words}" if words else ""
    if status == 429:
        return ContentFailed(f"{server} has had too many requests{said}", retry_after=wait)
    if status in _WORTH_ANOTHER_TRY:
        return ContentFailed(f"{server} is busy or in trouble (status {status}){said}", retry_after=wait)
    if status == 507:
        return RemoteUnusable(f"the storage of {server} is full{said}", hint="gittrack push  # once there is room")
    if status == 509:
        return RemoteUnusable(f"the bandwidth that {server} grants is used up{said}", hint="gittrack push  # later")
    if status == 413:
        return ContentFailed(f"{what} is larger than {server} takes{said}")
    if status == 422:
        return ContentFailed(f"{server} finds {what} invalid{said}")
    if status in (404, 410) and not sending:
        return ContentFailed(f"{server} does not have {what}{said}", hint="gittrack push  # where it still is")
    if status in (401, 403):
        return ContentFailed(f"{server} refuses {what} (status {status}){said}")
    return ContentFailed(f"{server} answered with status {status} about {what}{said}")
