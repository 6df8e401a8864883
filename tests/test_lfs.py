"""Content at a Git LFS server: what is asked, what goes wrong, and what a person is told then."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from content_remotes import make_data, name
from hubs import find_free_port
from lfs_servers import Handler, Reply, Scripted, open_lfs, serve_scripted

from gittrack.content import ContentStore
from gittrack.content_remote import ContentFailed, RemoteUnusable, fetch_content, receive, send_content
from gittrack.content_remote.lfs import LfsRemote
from gittrack.content_remote.lfs_failure import find_wait
from gittrack.errors import Corrupt
from gittrack.model import Pointer

DATA = make_data(300_000)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with serve_scripted() as running:
        yield running


@pytest.fixture
def remote(server: Scripted, tmp_path: Path) -> Iterator[LfsRemote]:
    opened = open_lfs(tmp_path, f"{server.url}/info/lfs", lfs__activitytimeout="2")
    yield opened
    opened.close()


@pytest.fixture
def content(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "here")


def ignore(_: object) -> None:
    pass


def put(server: Scripted, data: bytes) -> Pointer:
    server.objects[name(data).oid] = data
    return name(data)


def send(remote: LfsRemote, content: ContentStore, data: bytes = DATA) -> list[int]:
    pointer = content.put_bytes(data)
    file = content.find(pointer)
    assert file is not None
    moved: list[int] = []
    remote.upload(pointer, file, advance=moved.append)
    return moved


def fetch(remote: LfsRemote, content: ContentStore, pointer: Pointer, *, begun: bytes = b"") -> list[int]:
    moved: list[int] = []
    with receive(content, pointer) as sink:
        assert sink is not None
        sink.write(begun)
        remote.download(pointer, sink, advance=moved.append)
    return moved


def test_a_batch_is_asked_as_the_specification_has_it(
    server: Scripted, remote: LfsRemote, content: ContentStore
) -> None:
    moved = send(remote, content)
    assert sum(moved) == len(DATA)
    batch, upload, verify = server.seen
    assert (batch.path, upload.kind, verify.path) == ("/team/project.git/info/lfs/objects/batch", "upload", "/verify")
    pointer = name(DATA)
    assert json.loads(batch.body) == {
        "operation": "upload",
        "transfers": ["basic"],
        "hash_algo": "sha256",
        "objects": [{"oid": pointer.oid, "size": pointer.size}],
    }
    for seen in (batch, verify):
        assert seen.headers["accept"] == seen.headers["content-type"] == "application/vnd.git-lfs+json"
    assert upload.headers["content-type"] == "application/octet-stream"
    assert upload.headers["content-length"] == str(len(DATA))
    assert json.loads(verify.body) == {"oid": pointer.oid, "size": pointer.size}
    assert server.objects[pointer.oid] == DATA


def test_the_ref_is_named(server: Scripted, tmp_path: Path, remote: LfsRemote, content: ContentStore) -> None:
    remote._ref = "refs/heads/gittrack/default"
    send(remote, content)
    assert json.loads(server.seen[0].body)["ref"] == {"name": "refs/heads/gittrack/default"}


def test_many_are_asked_about_at_once(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    pointers = [content.put_bytes(make_data(100, seed)) for seed in range(250)]
    assert remote.prepare_uploads(pointers) == pointers
    assert [len(json.loads(seen.body)["objects"]) for seen in server.seen] == [100, 100, 50]
    assert len(send_content(remote, content, pointers, report=ignore).moved) == 250
    assert server.kinds().count("batch") == 6


def test_what_is_there_is_not_sent(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    put(server, DATA)
    assert send(remote, content) == []
    assert server.kinds() == ["batch"]


def test_a_range_goes_on_and_a_whole_answer_begins_again(
    server: Scripted, remote: LfsRemote, content: ContentStore, tmp_path: Path
) -> None:
    pointer = put(server, DATA)
    assert sum(fetch(remote, content, pointer, begun=DATA[:1000])) == len(DATA) - 1000
    assert server.seen[-1].headers["range"] == "bytes=1000-"
    other = ContentStore(tmp_path / "other")
    server.script["download"] = [Reply(200, DATA)]
    moved = fetch(remote, other, pointer, begun=DATA[:1000])
    assert (moved[0], sum(moved)) == (-1000, len(DATA) - 1000)
    assert other.find(pointer) is not None


@pytest.mark.parametrize(
    "reply",
    [
        Reply(416),
        Reply(206, DATA[5:], {"Content-Range": f"bytes 5-{len(DATA) - 1}/{len(DATA)}"}),
        Reply(206, DATA[1000:], {"Content-Range": f"bytes 1000-{len(DATA) - 1}/7"}),
        Reply(206, DATA[1000:]),
    ],
    ids=["416", "another part", "of something else", "no range"],
)
def test_a_range_that_is_not_given_is_asked_for_no_more(
    server: Scripted, remote: LfsRemote, content: ContentStore, reply: Reply
) -> None:
    pointer = put(server, DATA)
    server.script["download"] = [reply]
    assert sum(fetch(remote, content, pointer, begun=DATA[:1000])) == len(DATA) - 1000
    assert "range" not in server.seen[-1].headers
    assert content.find(pointer) is not None


def test_wrong_bytes_are_not_kept(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    pointer = name(DATA)
    server.objects[pointer.oid] = b"!" + DATA[1:]
    (failed,) = fetch_content(remote, content, [pointer], report=ignore, pause=0).failed
    assert isinstance(failed.error, Corrupt)
    assert content.find(pointer) is None
    assert server.kinds().count("download") == 1


def say_size(size: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {"objects": [{**entry, "size": size} for entry in answer["objects"]]}


def write(handler: Handler, head: str, *pieces: bytes, pause: float = 0) -> None:
    handler.wfile.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    for piece in pieces:
        handler.wfile.write(piece)
        handler.wfile.flush()
        time.sleep(pause)


def flow(handler: Handler) -> None:
    write(handler, "HTTP/1.1 200 OK")
    while True:
        handler.wfile.write(DATA)


LYING = {
    "announces more": (Reply(200, DATA + b"!"), "would send 300,001 bytes", None),
    "announces less": (Reply(200, DATA[:-1]), "would send 299,999 bytes", None),
    "sends more": (Reply(act=lambda h: write(h, "HTTP/1.1 200 OK", DATA, b"!")), "more than the 300,000", None),
    "sends less": (Reply(act=lambda h: write(h, "HTTP/1.1 200 OK", DATA[:-9])), "stopped 9 bytes before", 0.0),
    "breaks off": (
        Reply(act=lambda h: write(h, "HTTP/1.1 200 OK\nContent-Length: 300000", DATA[:-9])),
        "the connection to",
        0.0,
    ),
    "endless": (Reply(act=flow), "more than the 300,000", None),
    "hangs up": (Reply(act=ignore), "the connection to", 0.0),
    "no HTTP": (Reply(act=lambda h: write(h, "220 mail.example.org")), "the connection to", 0.0),
}


@pytest.mark.parametrize("case", LYING)
def test_a_server_that_lies_about_sizes(server: Scripted, remote: LfsRemote, content: ContentStore, case: str) -> None:
    reply, words, again = LYING[case]
    pointer = put(server, DATA)
    server.script["download"] = [reply]
    with pytest.raises(ContentFailed, match=words) as caught:
        fetch(remote, content, pointer)
    assert caught.value.retry_after == again
    assert content.find(pointer) is None
    (moved,) = fetch_content(remote, content, [pointer], report=ignore, pause=0).moved
    assert moved == pointer


def test_another_size_in_the_batch_answer(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    pointer = put(server, DATA)
    server.alter = say_size(7)
    with pytest.raises(ContentFailed, match="another size than 300000 bytes"):
        fetch(remote, content, pointer)
    assert server.kinds() == ["batch"]


SLOW = {
    "silent": lambda h: time.sleep(6),
    "head in drops": lambda h: [(h.wfile.write(byte), time.sleep(0.4)) for byte in [b"H", b"T", b"T", b"P"] * 6],
    "body in drops": lambda h: write(h, "HTTP/1.1 200 OK\nContent-Length: 300000", *[b"."] * 20, pause=0.4),
}


@pytest.mark.parametrize("kind", ["batch", "download"])
@pytest.mark.parametrize("case", SLOW)
def test_a_server_that_hardly_answers_is_not_waited_for(
    server: Scripted, remote: LfsRemote, content: ContentStore, case: str, kind: str
) -> None:
    pointer = put(server, DATA)
    server.script[kind] = [Reply(act=SLOW[case])]
    begin = time.monotonic()
    with pytest.raises(ContentFailed) as caught:
        fetch(remote, content, pointer)
    assert time.monotonic() - begin < 5
    assert caught.value.retry_after == 0


BATCH_STATUS = [
    (403, RemoteUnusable, "does not let you do this: no writing", "git push --dry-run origin HEAD"),
    (404, RemoteUnusable, "no Git LFS at http://127.0.0.1", "git config remote.origin.lfsurl URL"),
    (406, RemoteUnusable, "does not speak the batch API", "git config remote.origin.lfsurl URL"),
    (413, ContentFailed, "larger than", None),
    (422, ContentFailed, "invalid: no writing", None),
    (501, RemoteUnusable, "does not speak the batch API", "git config remote.origin.lfsurl URL"),
    (507, RemoteUnusable, "storage of .* is full", "gittrack push"),
    (509, RemoteUnusable, "bandwidth", "gittrack push"),
    (418, ContentFailed, "status 418", None),
]


@pytest.mark.parametrize(("status", "error", "words", "hint"), BATCH_STATUS)
def test_a_batch_that_is_refused(
    server: Scripted,
    remote: LfsRemote,
    content: ContentStore,
    status: int,
    error: type[ContentFailed],
    words: str,
    hint: str | None,
) -> None:
    server.script["batch"] = [Reply(status, b'{"message": "no writing"}')]
    with pytest.raises(error, match=words) as caught:
        send(remote, content)
    assert type(caught.value) is error
    assert caught.value.retry_after is None
    assert hint is None or (caught.value.hint or "").startswith(hint)
    assert server.objects == {}


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, ContentFailed, "answered with status 404 about the content .*: so not"),
        (413, ContentFailed, "larger than"),
        (422, ContentFailed, "invalid: so not"),
        (507, RemoteUnusable, "is full: so not"),
    ],
)
@pytest.mark.parametrize("kind", ["upload", "verify"])
def test_an_upload_that_is_refused(
    server: Scripted,
    remote: LfsRemote,
    content: ContentStore,
    kind: str,
    status: int,
    error: type[ContentFailed],
    words: str,
) -> None:
    server.script[kind] = [Reply(status, b'{"message": "so not"}')]
    with pytest.raises(error, match=words) as caught:
        send(remote, content)
    assert caught.value.retry_after is None
    assert "t0k3n" not in caught.value.message


def test_one_that_is_refused_does_not_stop_the_others(
    server: Scripted, remote: LfsRemote, content: ContentStore
) -> None:
    pointers = [content.put_bytes(make_data(50, seed)) for seed in range(3)]

    def refuse(answer: dict[str, Any]) -> dict[str, Any]:
        for entry in answer["objects"]:
            if entry["oid"] == pointers[1].oid:
                entry["error"] = {"code": 422, "message": "not \x1b[31mthis\x1b]0;title\x07 one\r\n\u202e!"}
        return answer

    server.alter = refuse
    done = send_content(remote, content, pointers, report=ignore, pause=0)
    assert done.moved == (pointers[0], pointers[2])
    assert done.failed[0].error.message == (
        f"the Git LFS server of origin finds the content {pointers[1].oid} invalid: not this one !"
    )


def test_a_batch_that_is_too_large_is_split(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    pointers = [content.put_bytes(make_data(50, seed)) for seed in range(5)]
    server.script["batch"] = [Reply(413), Reply(413)]
    assert remote.prepare_uploads(pointers) == pointers
    assert [len(json.loads(seen.body)["objects"]) for seen in server.seen] == [5, 2, 1, 1, 3]


def test_trouble_that_passes(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    for kind in ("batch", "upload", "verify"):
        server.script[kind] = [Reply(500), Reply(503)]
    pointer = content.put_bytes(DATA)
    assert send_content(remote, content, [pointer], report=ignore, pause=0).moved == (pointer,)
    other = ContentStore(content.directory / "other")
    for kind in ("batch", "download"):
        server.script[kind] = [Reply(500), Reply(502)]
    assert fetch_content(remote, other, [pointer], report=ignore, pause=0).moved == (pointer,)


@pytest.mark.parametrize("kind", ["batch", "upload", "verify"])
def test_too_many_requests(server: Scripted, remote: LfsRemote, content: ContentStore, kind: str) -> None:
    server.script[kind] = [Reply(429, headers={"Retry-After": "17"})]
    with pytest.raises(ContentFailed, match="too many requests") as caught:
        send(remote, content)
    assert caught.value.retry_after == 17
    server.objects.clear()
    server.script[kind] = [Reply(429, headers={"Retry-After": formatdate(time.time() + 40, usegmt=True)})]
    with pytest.raises(ContentFailed) as caught:
        send(remote, content)
    assert caught.value.retry_after is not None
    assert 30 < caught.value.retry_after <= 40


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        ("99999999999999999999", 0),
        ("999999999", 604800),
        ("Thu, 01 Jan 1970 00:20:00 GMT", 200),
        ("Thu, 01 Jan 1970 00:10:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:20:00 -0000", 200),
        ("Thu, 99 Jan 1970 00:20:00 GMT", 0),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    assert find_wait({"Retry-After": value}, now=1000.0) == seconds


def expire(fields: dict[str, Any], times: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what lets the actions of so many batch answers be over already."""
    left = [times]

    def alter(answer: dict[str, Any]) -> dict[str, Any]:
        left[0] -= 1
        for entry in answer["objects"] if left[0] >= 0 else []:
            for action in entry.get("actions", {}).values():
                action.update(fields)
        return answer

    return alter


@pytest.mark.parametrize(
    "fields",
    [
        {"expires_in": 3},
        {"expires_in": -7},
        {"expires_at": "2016-11-10T15:29:07Z"},
        {"expires_at": "2016-11-10t15:29:07.5+01:00"},
    ],
)
def test_an_address_that_has_expired_is_asked_for_again(
    server: Scripted, remote: LfsRemote, content: ContentStore, fields: dict[str, Any]
) -> None:
    server.alter = expire(fields, 1)
    pointer = content.put_bytes(DATA)
    assert remote.prepare_uploads([pointer]) == [pointer]
    send(remote, content)
    assert server.kinds() == ["batch", "batch", "upload", "verify"]


@pytest.mark.parametrize(
    "fields",
    [
        {"expires_in": 900, "expires_at": "2016-11-10T15:29:07Z"},
        {"expires_at": "2999-11-10T15:29:07Z"},
        {"expires_at": "0001-01-01T00:00:00Z"},
        {"expires_at": "whenever"},
        {"expires_in": 0},
        {},
    ],
)
def test_an_address_that_still_holds_is_used(
    server: Scripted, remote: LfsRemote, content: ContentStore, fields: dict[str, Any]
) -> None:
    server.alter = expire(fields, 9)
    pointer = content.put_bytes(DATA)
    remote.prepare_uploads([pointer])
    send(remote, content)
    assert server.kinds() == ["batch", "upload", "verify"]


@pytest.mark.parametrize("status", [401, 403, 410])
def test_an_address_that_is_refused_is_asked_for_again_once(
    server: Scripted, remote: LfsRemote, content: ContentStore, status: int
) -> None:
    server.script["upload"] = [Reply(status, b"<Error>Request has expired</Error>")]
    assert sum(send(remote, content)) == len(DATA)
    assert server.kinds() == ["batch", "upload", "batch", "upload", "verify"]
    pointer = name(DATA)
    other = ContentStore(content.directory / "other")
    server.script["download"] = [Reply(status)]
    assert sum(fetch(remote, other, pointer)) == len(DATA)
    server.objects.clear()
    server.script["upload"] = [Reply(status), Reply(status)]
    with pytest.raises(ContentFailed, match=f"{pointer.oid}"):
        send(remote, content)


NONSENSE = {
    "HTML": (b"<html>Please log in</html>", "no JSON"),
    "half": (b'{"objects": [', "no JSON"),
    "a list": (b"[]", "no JSON object"),
    "deep": (b"[" * 100_000, "no JSON"),
    "no objects": (b"{}", "no list of objects"),
    "objects of another kind": (b'{"objects": {"a": 1}}', "no list of objects"),
    "another transfer": (b'{"transfer": "tus", "objects": []}', "was not offered: tus"),
    "another hash": (b'{"hash_algo": "md5", "objects": []}', "by md5"),
    "not UTF-8": (b'{"objects": "\xff"}', "no JSON"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_an_answer_that_is_none_of_git_lfs(
    server: Scripted, remote: LfsRemote, content: ContentStore, case: str
) -> None:
    body, words = NONSENSE[case]
    server.alter = lambda answer: body
    with pytest.raises(RemoteUnusable, match=f"no Git LFS server at .*{words}") as caught:
        send(remote, content)
    assert caught.value.hint == "git config remote.origin.lfsurl URL"


def test_a_huge_answer_is_not_read(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    server.alter = lambda answer: b'{"objects": [' + b" " * (9 << 20) + b"]}"
    with pytest.raises(ContentFailed, match="more than the 8388608 bytes"):
        send(remote, content)
    server.alter = lambda answer: answer
    server.script["upload"] = [Reply(422, b"x" * (1 << 20))]
    with pytest.raises(ContentFailed, match="invalid"):
        send(remote, content)


def change_entry(**changes: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda answer: {"objects": [{**entry, **changes} for entry in answer["objects"]]}


def change_action(**changes: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return change_entry(actions={"upload": {"href": "http://127.0.0.1:1/x", **changes}})


STRANGE = {
    "left out": (lambda answer: {"objects": []}, "leaves it out"),
    "another one": (change_entry(oid="0" * 64), "leaves it out"),
    "no entries": (lambda answer: {"objects": [None, 7, "x", {}]}, "leaves it out"),
    "odd actions": (change_entry(actions=[1]), "what to do"),
    "no href": (change_entry(actions={"upload": {}}), "no address"),
    "file": (change_action(href="file:///etc/passwd"), "no http URL"),
    "ssh": (change_action(href="ssh://host/x"), "no http URL"),
    "relative": (change_action(href="/objects/x"), "no http URL"),
    "no host": (change_action(href="http:///x"), "no http URL"),
    "line break": (change_action(href="http://127.0.0.1/x\r\nX-Evil: 1"), "no http URL"),
    "space": (change_action(href="http://127.0.0.1/x HTTP/1.1"), "no http URL"),
    "odd port": (change_action(href="http://127.0.0.1:99999/x"), "no http URL"),
    "huge": (change_action(href="http://127.0.0.1/" + "x" * 10_000), "no http URL"),
    "header with a line break": (change_action(header={"X-A": "1\r\nX-B: 2"}), "headers"),
    "header that is none": (change_action(header={"X A": "1"}), "headers"),
    "header that is no text": (change_action(header={"X-A": 1}), "headers"),
    "headers that are none": (change_action(header=["X-A"]), "headers"),
    "an odd encoding": (change_action(header={"Transfer-Encoding": "gzip"}), "headers"),
    "the same header twice": (change_action(header={"X-A": "1", "x-a": "2"}), "headers"),
    "too many headers": (change_action(header={f"X-{n}": "1" for n in range(99)}), "headers"),
    "odd error": (change_entry(error="no"), "does not say why"),
    "odd code": (change_entry(error={"code": "x", "message": 7}), "does not say why"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_a_strange_answer_about_a_content(
    server: Scripted, remote: LfsRemote, content: ContentStore, case: str
) -> None:
    alter, words = STRANGE[case]
    server.alter = alter
    pointer = content.put_bytes(DATA)
    (failed,) = send_content(remote, content, [pointer], report=ignore, pause=0).failed
    assert failed.error.message.startswith("the Git LFS server of origin")
    assert pointer.oid in failed.error.message
    assert words in failed.error.message
    assert set(server.kinds()) == {"batch"}


def test_headers_that_are_not_an_actions_business(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    def alter(answer: dict[str, Any]) -> dict[str, Any]:
        for entry in answer["objects"]:
            entry["actions"]["upload"]["header"] = {
                "Content-Length": "1",
                "Host": "other.example.org",
                "Proxy-Authorization": "Basic x",
                "Content-Type": "text/plain",
                "X-Token": "kept",
            }
        return answer

    server.alter = alter
    send(remote, content)
    upload = next(seen for seen in server.seen if seen.kind == "upload")
    assert upload.headers["content-length"] == str(len(DATA))
    assert upload.headers["host"].startswith("127.0.0.1")
    assert "proxy-authorization" not in upload.headers
    assert (upload.headers["content-type"], upload.headers["x-token"]) == ("text/plain", "kept")


def test_a_server_that_wants_chunks_gets_them(server: Scripted, remote: LfsRemote, content: ContentStore) -> None:
    def alter(answer: dict[str, Any]) -> dict[str, Any]:
        for entry in answer["objects"]:
            entry["actions"]["upload"]["header"] = {"Transfer-Encoding": "chunked"}
        return answer

    server.alter = alter
    send(remote, content)
    upload = next(seen for seen in server.seen if seen.kind == "upload")
    assert "content-length" not in upload.headers
    assert server.objects[name(DATA).oid] == DATA


def test_nobody_there(tmp_path: Path, content: ContentStore) -> None:
    remote = open_lfs(tmp_path, f"http://127.0.0.1:{find_free_port()}")
    with pytest.raises(ContentFailed, match="cannot be reached") as caught:
        send(remote, content)
    assert caught.value.retry_after == 0


def test_a_file_that_comes_in_crumbs_is_written_in_large_pieces(
    server: Scripted, remote: LfsRemote, content: ContentStore
) -> None:
    data = bytes(range(256)) * 2000
    pointer = put(server, data)
    crumbs = b"".join(b"100\r\n" + data[at : at + 256] + b"\r\n" for at in range(0, len(data), 256)) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.script["download"] = [Reply(act=lambda handler: handler.wfile.write(head + crumbs))]
    assert fetch(remote, content, pointer) == [1 << 18, len(data) - (1 << 18)]
    assert content.open(pointer).read() == data
