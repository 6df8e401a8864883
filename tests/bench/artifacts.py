"""What content costs on its way, many small files and a large one: to a directory, a bucket, a Git LFS server and back.

Beside cp, and beside plain HTTP to the same server.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from .process import CHECKOUT
from .report import Options, Report, run_benches
from .scratch import hermetic_environment, scratch_directory

MEGA = 1 << 20
ROUNDS = 3
MOST_MEMORY = 200.0
LEAST_OF_CP = 0.7
# What a request is signed with is not checked on this server, only that it is.
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/s3/aws4_request"}

# Sends, or fetches, all that a list names; tells the seconds and the most memory it ever had, in MB.
MOVE = """
import json, sys, time
from pathlib import Path
from gittrack.content import ContentStore
from gittrack.content_remote import DirectoryRemote, fetch_content, open_filesystem, send_content
from gittrack.model import Pointer
do, address, directory, listing = sys.argv[1:]
pointers = [Pointer(*pair) for pair in json.loads(Path(listing).read_text())]
if address.startswith("http"):
    sys.path.insert(0, "tests")
    from lfs_servers import open_lfs
    remote = open_lfs(Path.cwd(), address)
else:
    remote = open_filesystem(address) if "://" in address else DirectoryRemote(Path(address))
began = time.perf_counter()
move = send_content if do == "send" else fetch_content
done = move(remote, ContentStore(Path(directory)), pointers, report=lambda _: None)
seconds = time.perf_counter() - began
assert len(done.moved) == len(pointers), done
peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
print(json.dumps([seconds, peak]))
"""

# Makes content out of nothing that can be compressed, and tells what it is called.
MAKE = """
import json, os, sys
from pathlib import Path
from gittrack.content import ContentStore
directory, count, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store, block = ContentStore(directory), os.urandom(min(size, 1 << 20))
def pieces(number):
    yield number.to_bytes(8, "big")
    for at in range(8, size, len(block)):
        yield block[: size - at]
made = [store.put_chunks(pieces(number)) for number in range(count)]
print(json.dumps([[pointer.oid, pointer.size] for pointer in made]))
"""

SERVE = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("at", *server.get_host_and_port(), flush=True)
sys.stdin.read()
server.stop()
"""

# What most who keep files in S3 move one with; tells the seconds there and back.
BOTO = """
import json, sys, time, boto3
address, file, copy = sys.argv[1:]
client = boto3.client("s3", endpoint_url=address, region_name="us-east-1")
began = time.perf_counter()
client.upload_file(file, "bench", "boto")
sent = time.perf_counter()
client.download_file("bench", "boto", copy)
print(json.dumps([sent - began, time.perf_counter() - sent]))
"""

# Two repositories of a Git LFS server: one for gittrack, one for plain HTTP.
SERVE_LFS = """
import sys
sys.path.insert(0, "tests")
from lfs_servers import make_giftless
print("at", make_giftless().url, make_giftless().url, flush=True)
sys.stdin.read()
"""


class Place:
    """A directory in which gittrack's transfers run as processes of their own, and are measured."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {
            **hermetic_environment(root / "home"),
            "PYTHONPATH": str(CHECKOUT),
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def run(self, program: str, *words: str) -> str:
        """Run a Python program and return what it prints; raises where it fails."""
        command = [sys.executable, "-c", program, *words]
        done = subprocess.run(command, cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def make(self, count: int, size: int) -> Path:
        """Make content, and return the file that lists it."""
        listing = self.root / "listing.json"
        listing.write_text(self.run(MAKE, str(self.root / "here"), str(count), str(size)))
        return listing

    def move(self, do: str, address: str, directory: Path, listing: Path) -> tuple[float, float]:
        """Send or fetch content; returns the seconds and the most memory in MB."""
        seconds, peak = json.loads(self.run(MOVE, do, address, str(directory), str(listing)))
        return seconds, peak


def measure(options: Options) -> Report:
    """Move content between directories of one disk, and to a bucket on this machine."""
    report = Report("artifacts: content there and back, on this machine")
    for count, size in ((options.size(1000, 20), 20_000), (1, options.size(2 << 30, 3 << 20))):
        with scratch_directory() as directory:
            _measure_directory(report, Place(directory), count, size, options)
    report.remarks.append(
        "cp is measured twice: as it is, and with the wait for the disk that gittrack's copies include"
    )
    for count, size in ((options.size(1000, 20), 20_000), (1, options.size(256 * MEGA, 11 * MEGA))):
        with scratch_directory() as directory:
            place = Place(directory)
            try:
                with _serve(place, SERVE) as (host, port):
                    _measure_bucket(report, place, f"{host}:{port}", count, size, options)
            except RuntimeError as error:
                report.remarks.append(f"no bucket: {error}")
                break
    for count, size in ((options.size(1000, 20), 20_000), (1, options.size(256 * MEGA, 3 << 20))):
        with scratch_directory() as directory:
            place = Place(directory)
            try:
                with _serve(place, SERVE_LFS) as repositories:
                    _measure_lfs(report, place, repositories, count, size, options)
            except RuntimeError as error:
                report.remarks.append(f"no Git LFS server: {error}")
                break
    return report


def _describe(count: int, size: int) -> str:
    return f"one file of {size / MEGA:,.0f} MiB" if count == 1 else f"{count:,} files of {size / 1000:,.0f} kB"


def _measure_directory(report: Report, place: Place, count: int, size: int, options: Options) -> None:
    what = _describe(count, size)
    listing = place.make(count, size)
    here, copy = place.root / "here", place.root / "copy"
    remotes = [place.root / "remote", copy / "remote"]
    remotes[0].mkdir()
    place.move("send", str(remotes[0]), here, listing)
    samples: dict[str, list[float]] = {name: [] for name in ("cp", "cp, waited for the disk", "send", "fetch")}
    peaks = []
    for _ in range(options.size(ROUNDS, 1)):
        # Each makes one copy, which is gone before the next: new pages and blocks cost more than such as were in use.
        for name in samples:
            remotes[1].mkdir(parents=True)
            if name.startswith("cp"):
                seconds = _time(lambda n=name: _copy(here, copy / "cp", wait=n != "cp"))  # type: ignore[misc]
            else:
                remote, directory = (remotes[1], here) if name == "send" else (remotes[0], copy / "back")
                seconds, peak = place.move(name, str(remote), directory, listing)
                peaks.append(peak)
            samples[name].append(seconds)
            subprocess.run(["rm", "-r", "--", str(copy)], check=True)
    for name, seconds in samples.items():
        report.add(f"{what}, directory: {name}", "s", seconds)
    _add_memory(report, f"{what}, directory", peaks, options)
    if count == 1:
        for do in ("send", "fetch"):
            ratios = [a / b for a, b in zip(samples["cp, waited for the disk"], samples[do], strict=True)]
            limit = None if options.tiny else LEAST_OF_CP
            report.add(f"{what}, directory: {do}, throughput by cp's", "×", ratios, at_least=limit)


def _measure_bucket(report: Report, place: Place, host: str, count: int, size: int, options: Options) -> None:
    what = _describe(count, size)
    listing = place.make(count, size)
    files = [path for path in (place.root / "here" / "objects").rglob("*") if path.is_file()]
    _request(host, "PUT", "/bench", Path(os.devnull), {})
    samples = {
        f"plain HTTP {method}": [
            _time(
                lambda method=method: [  # type: ignore[misc]
                    _request(host, method, f"/bench/plain/{path.name}", path if method == "PUT" else None, SIGNED)
                    for path in files
                ]
            )
        ]
        for method in ("PUT", "GET")
    }
    if count == 1:
        times = json.loads(place.run(BOTO, f"http://{host}", str(files[0]), str(place.root / "copy")))
        samples |= {"boto3 send": [times[0]], "boto3 fetch": [times[1]]}
    address = f"s3://bench/content?endpoint_override={host}&scheme=http&region=us-east-1"
    peaks = []
    for do, directory in (("send", place.root / "here"), ("fetch", place.root / "back")):
        seconds, peak = place.move(do, address, directory, listing)
        samples[do] = [seconds]
        peaks.append(peak)
    for name, seconds in samples.items():
        report.add(f"{what}, S3 (moto): {name}", "s", seconds)
    _add_memory(report, f"{what}, S3 (moto)", peaks, options)
    if count == 1:
        for do in ("send", "fetch"):
            ratio = samples[f"boto3 {do}"][0] / samples[do][0]
            report.add(f"{what}, S3 (moto): {do}, throughput by boto3's", "×", [ratio])


def _measure_lfs(
    report: Report, place: Place, repositories: list[str], count: int, size: int, options: Options
) -> None:
    what = f"{_describe(count, size)}, Git LFS (Giftless)"
    listing = place.make(count, size)
    address, plain = repositories
    samples: dict[str, list[float]] = {}
    for name, operation in (("plain HTTP PUT", "upload"), ("plain HTTP GET", "download")):
        # Only the bytes: which address they go to is asked before.
        steps = list(_ask_lfs(plain, operation, json.loads(listing.read_text()), place.root / "here"))
        samples[name] = [_time(lambda steps=steps: [_request(*step) for step in steps])]  # type: ignore[misc]
    peaks = []
    for do, directory in (("send", place.root / "here"), ("fetch", place.root / "back")):
        seconds, peak = place.move(do, address, directory, listing)
        samples[do] = [seconds]
        peaks.append(peak)
    for name, seconds in samples.items():
        report.add(f"{what}: {name}", "s", seconds)
    _add_memory(report, what, peaks, options)
    for do, name in (("send", "plain HTTP PUT"), ("fetch", "plain HTTP GET")):
        limit = LEAST_OF_CP if count == 1 and not options.tiny else None
        ratio = samples[name][0] / samples[do][0]
        report.add(f"{what}: {do}, throughput by {name}'s", "×", [ratio], at_least=limit)


def _ask_lfs(url: str, operation: str, listed: list[list[object]], directory: Path) -> Iterator[tuple[object, ...]]:
    """Yield the arguments of `_request` that move each content, as the server's batch answer has them."""
    objects = [{"oid": oid, "size": size} for oid, size in listed]
    question = json.dumps({"operation": operation, "transfers": ["basic"], "objects": objects}).encode()
    media = "application/vnd.git-lfs+json"
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("POST", f"{parts.path}/objects/batch", question, {"Content-Type": media, "Accept": media})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    for found in answer["objects"]:
        action = found["actions"][operation]
        target = urlsplit(action["href"])
        path = f"{target.path}?{target.query}" if target.query else target.path
        oid = found["oid"]
        file = directory / "objects" / oid[:2] / oid[2:4] / oid if operation == "upload" else None
        method = "PUT" if operation == "upload" else "GET"
        yield target.netloc, method, path, file, action.get("header", {})


def _add_memory(report: Report, what: str, peaks: list[float], options: Options) -> None:
    report.add(f"{what}: most memory", "MB", [max(peaks)], at_most=None if options.tiny else MOST_MEMORY)


def _time(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _copy(source: Path, target: Path, *, wait: bool = False) -> None:
    subprocess.run(["cp", "-r", "--", str(source), str(target)], check=True)
    if wait:
        files = [str(path) for path in target.rglob("*") if path.is_file()]
        subprocess.run(["sync", "--", *files], check=True)


def _request(host: str, method: str, path: str, body: Path | None, headers: dict[str, str]) -> None:
    """Send a file, or read all of an answer; raises RuntimeError where that is no success."""
    connection = http.client.HTTPConnection(host)
    try:
        with open(body or os.devnull, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            connection.request(method, path, file if body else None, {**headers, "Content-Length": str(size)})
            answer = connection.getresponse()
            while answer.read(MEGA):
                pass
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.reason}")
    finally:
        connection.close()


@contextlib.contextmanager
def _serve(place: Place, program: str) -> Iterator[list[str]]:
    """Start a server, and give the words in which it tells where it is; raises RuntimeError where it does not start."""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=CHECKOUT,
        env=place.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        try:
            words = server.stdout.readline().split()
            if not words:
                raise RuntimeError("it is not installed")
            yield words[1:]
        finally:
            server.terminate()


if __name__ == "__main__":
    sys.exit(run_benches([measure]))
