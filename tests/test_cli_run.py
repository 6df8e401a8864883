"""`gittrack run` stands between a caller and a command, and neither notices: real processes, signals and terminals."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import git

import gittrack

GITTRACK = [sys.executable, "-c", "import sys; from gittrack.cli import main; sys.exit(main())"]


def run(*words: str, **attributes: Any) -> subprocess.CompletedProcess[bytes]:
    """Run `gittrack run` with its output captured."""
    attributes.setdefault("capture_output", True)
    return subprocess.run([*GITTRACK, "run", *words], check=False, timeout=60, **attributes)


def start(*words: str, **attributes: Any) -> subprocess.Popen[bytes]:
    """Start `gittrack run` in a process group of its own."""
    return subprocess.Popen(
        [*GITTRACK, "run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        **attributes,
    )


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def read_output(found: gittrack.Run) -> bytes:
    with found.open_artifact("output.log") as file:
        return file.read()


def wait_for(path: Path, text: str = "") -> str:
    """Wait until a file holds text, and return what it holds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if path.exists() and text in (content := path.read_text()):
            return content
        time.sleep(0.01)
    raise AssertionError(f"{path} never said {text!r}")


@pytest.mark.parametrize(("code", "status"), [(0, "FINISHED"), (1, "FAILED"), (42, "FAILED"), (255, "FAILED")])
def test_the_exit_code_passes_through(repo: Path, code: int, status: str) -> None:
    assert run("--", "sh", "-c", f"exit {code}").returncode == code
    found = gittrack.get_run("latest")
    assert (found.status, found.snapshot.run.exit_code) == (status, code)


def test_a_command_that_a_signal_ends_takes_us_along(repo: Path) -> None:
    names = ("TERM", "INT", "KILL", "SEGV", "PIPE", "USR1")
    children = {name: start("-n", name, "--", "sh", "-c", f"echo before; kill -{name} $$") for name in names}
    for name, child in children.items():
        child.communicate(timeout=60)
        number = signal.Signals[f"SIG{name}"].value
        assert child.returncode == -number
        found = gittrack.get_run(name)
        assert (found.status, found.snapshot.run.exit_code) == ("KILLED", 128 + number)
        assert read_output(found) == b"before\n"


def test_a_shell_between_us_and_what_was_killed(repo: Path) -> None:
    assert run("--", "sh", "-c", "sh -c 'kill -9 $$'; exit $?").returncode == 137
    assert gittrack.get_run("latest").status == "KILLED"


def test_what_is_recorded(repo: Path) -> None:
    words = ["-e", "My Study", "-n", "first", "-p", "lr=0.1", "-p", "opt=adam", "-t", "team=a b", "--note", "a note"]
    done = run(*words, "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.returncode, done.stdout) == (0, b"out\n")
    found = gittrack.get_run("first")
    assert (found.experiment, found.name, found.note) == ("my-study", "first", "a note")
    assert found.params == {"lr": 0.1, "opt": "adam"}
    assert found.tags == {"team": "a b"}
    assert found.command == ("sh", "-c", "echo out; echo err >&2")
    assert sorted(read_output(found).split()) == [b"err", b"out"]
    assert found.source.commit == git(repo, "rev-parse", "HEAD")
    assert git(repo, "status", "--porcelain") == ""
    assert list((repo / ".git/gittrack/runs").iterdir()) == []
    error = done.stderr.decode()
    assert "err\n" in error
    (line,) = [line for line in error.splitlines() if line.startswith("note:")]
    assert f"run first FINISHED in 0.0{line.partition('0.0')[2]}" in line
    assert f"({found.id[:8]}): gittrack show {found.id[:8]}" in line


def test_quiet_says_nothing_and_a_made_up_name_is_shown_by_name(repo: Path) -> None:
    assert run("-q", "--", "true").stderr == b""
    done = run("true")
    assert done.stderr.decode().rstrip().endswith(f"gittrack show {gittrack.get_run('latest').name}")


def test_output_and_error_stay_apart_and_each_in_order(repo: Path) -> None:
    code = "import os\nfor i in range(2000): os.write(1, b'o%d\\n' % i); os.write(2, b'e%d\\n' % i)"
    done = run("-q", "--", *python(code))
    assert done.stdout.split() == [b"o%d" % i for i in range(2000)]
    assert done.stderr.split() == [b"e%d" % i for i in range(2000)]
    kept = read_output(gittrack.get_run("latest")).split()
    assert [word for word in kept if word.startswith(b"o")] == done.stdout.split()
    assert [word for word in kept if word.startswith(b"e")] == done.stderr.split()


def test_where_both_go_to_one_place_the_order_between_them_is_kept(repo: Path) -> None:
    code = "import os\nfor i in range(2000): os.write(1 + i % 2, b'%d\\n' % i)"
    done = run("-q", "--", *python(code), capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.stdout == b"".join(b"%d\n" % i for i in range(2000))
    assert read_output(gittrack.get_run("latest")) == done.stdout


@pytest.mark.parametrize("data", [bytes(range(256)) * 40, b"no newline", b"\r50%\r100%", "naïve ✓\n".encode(), b""])
def test_bytes_pass_as_they_are(repo: Path, data: bytes) -> None:
    (repo / "data").write_bytes(data)
    assert run("--", "cat", "data").stdout == data
    assert read_output(gittrack.get_run("latest")) == data


def test_output_passes_while_the_command_runs(repo: Path) -> None:
    with start(
        "-q", "--", *python("import os, sys; os.write(1, b'?'); sys.stdin.read(1)"), stdin=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.read(1) == b"?"
        child.stdin.write(b"x")
        child.stdin.close()
        assert child.wait(20) == 0


def test_input_passes(repo: Path) -> None:
    data = os.urandom(300_000)
    assert run("--", "cat", input=data).stdout == data


def test_words_arrive_as_they_were_given(repo: Path) -> None:
    words = [
        "a b",
        "it's",
        '"q"',
        "$HOME",
        "*",
        "",
        "back\\slash",
        "naïve ✓",
        "two\nlines",
        "--",
        "-p",
        "--quiet",
        "x=1",
    ]
    done = run("-q", "--", *python("import json, sys; print(json.dumps(sys.argv[1:]))"), *words)
    assert json.loads(done.stdout) == words
    assert gittrack.get_run("latest").command[3:] == tuple(words)


def test_options_behind_the_commands_name_are_its_own(repo: Path) -> None:
    assert run("-q", "echo", "-n", "--note", "x", "-h").stdout == b"--note x -h"
    assert gittrack.get_run("latest").note == ""
    done = run("--nope", "echo")
    assert done.returncode == 2
    assert b"--nope" in done.stderr
    assert run("--").returncode == 2


def test_the_command_finds_its_run(repo: Path) -> None:
    code = (
        "import os, gittrack\n"
        "with gittrack.start_run(params={'lr': 1}) as run:\n"
        "    run.log({'loss': 0.5}, step=3)\n"
        "print(run.id, os.environ['GITTRACK_RUN_ID'], os.environ['GITTRACK_STORE'], os.environ['GITTRACK_EXPERIMENT'])"
    )
    done = run("-e", "Churn", "-q", "-p", "seed=1", "--", *python(code))
    (found,) = gittrack.runs()
    assert done.stdout.decode().split() == [found.id, found.id, str(repo), "churn"]
    assert found.params == {"lr": 1, "seed": 1}
    assert found.summary["loss"].last_step == 3
    assert "output.log" in found.artifacts()


def test_a_run_inside_a_run_is_its_child(repo: Path) -> None:
    done = run("-n", "outer", "-q", "--", *GITTRACK, "run", "-q", "-n", "inner", "--", "echo", "hi")
    assert (done.returncode, done.stdout) == (0, b"hi\n")
    outer, inner = gittrack.get_run("outer"), gittrack.get_run("inner")
    assert inner.parent == outer.id
    assert read_output(inner) == read_output(outer) == b"hi\n"


@pytest.mark.parametrize(
    ("name", "code"), [("no-such-command", 127), ("./missing", 127), ("./data", 126), ("./directory", 126), ("", 127)]
)
def test_what_cannot_be_run_begins_no_run(repo: Path, name: str, code: int) -> None:
    (repo / "data").write_text("text")
    (repo / "directory").mkdir()
    done = run("--", name, "x")
    assert done.returncode == code
    assert done.stderr.startswith(b"error: ")
    assert list(gittrack.runs()) == []


def test_a_script_without_an_interpreter(repo: Path) -> None:
    script = repo / "train"
    script.write_text('echo "shell $1"\nexit 3\n')
    script.chmod(0o755)
    done = run("-q", "--", "./train", "a b")
    assert (done.returncode, done.stdout) == (3, b"shell a b\n")
    script.write_text("#!/no/such/interpreter\n")
    done = run("-n", "lost", "--", "./train")
    assert done.returncode == 127
    assert b"interpreter" in done.stderr
    found = gittrack.get_run("lost")
    assert (found.status, found.snapshot.run.exit_code) == ("FAILED", 127)


def test_outside_of_a_repository_nothing_is_started(tmp_path: Path) -> None:
    done = run("--", "touch", "mark", cwd=tmp_path)
    assert done.returncode == 3
    assert b"hint: git init" in done.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("words", [["-p", "lr"], ["-p", "lr=1", "-p", "lr=2"], ["-t", "=x"], ["-n", "a\nb"]])
def test_a_wrong_option_is_said_before_anything_starts(repo: Path, words: list[str]) -> None:
    assert run(*words, "--", "touch", "mark").returncode == 2
    assert not (repo / "mark").exists()
    assert list(gittrack.runs()) == []


def test_another_directory_and_another_store(repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--bare", "runs.git")
    done = subprocess.run(
        [*GITTRACK, "-C", str(repo), "--store", str(tmp_path / "runs.git"), "run", "-q", "--", "pwd"],
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.decode().strip() == str(repo)
    (found,) = gittrack.runs(store=tmp_path / "runs.git")
    assert found.source.commit == git(repo, "rev-parse", "HEAD")
    assert list(gittrack.runs()) == []


def test_a_store_that_cannot_be_written_does_not_stop_the_command(repo: Path) -> None:
    (repo / ".git/gittrack").write_text("in the way")
    script = f"{shlex.join(GITTRACK)} record metric loss 1 && echo trained; exit 5"
    done = run("--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (5, b"trained\n")
    assert done.stderr.count(b"warning:") == 1
    assert b"nothing of it is recorded" in done.stderr


def test_a_store_that_fails_at_the_end_loses_nothing(repo: Path) -> None:
    (blocker := repo / ".git/refs/heads/gittrack").write_text("")
    done = run("-n", "late", "-p", "lr=1", "--", "sh", "-c", "echo trained; exit 5")
    assert (done.returncode, done.stdout) == (5, b"trained\n")
    assert b"warning:" in done.stderr
    blocker.unlink()
    found = gittrack.get_run("late")
    assert (found.status, found.params, found.snapshot.run.exit_code) == ("FAILED", {"lr": 1}, 5)
    assert read_output(found) == b"trained\n"


def test_params_of_the_commands_own_words(repo: Path) -> None:
    words = ["--lr", "0.1", "--api-token", "kD93hf7sQ2mXz81p", "--bad\nname", "1", "--lr2=1e-3", "--amp"]
    done = run("--params-from-args", "-p", "lr=0.5", "--", "echo", *words)
    assert done.returncode == 0
    assert b"left out of the params" in done.stderr
    found = gittrack.get_run("latest")
    assert found.params == {"lr": 0.5, "api-token": "[scrubbed]", "lr2": 1e-3, "amp": True}


def test_files_of_params_and_metrics_are_read_at_the_end(repo: Path) -> None:
    params = {"lr": 0.1, "model": {"layers": [64, 32], "drop": None}}
    script = 'echo "$1" > p.json; echo \'{"loss": 2, "step": 10}\' > m.jsonl; echo \'{"loss": 1}\' >> m.jsonl'
    words = ["-p", "lr=0.5", "--params-file", "p.json", "--metrics-file", "m.jsonl"]
    done = run(*words, "--", "sh", "-c", script, "sh", json.dumps(params))
    found = gittrack.get_run("latest")
    assert found.params == {"lr": 0.5, "model.layers": "[64, 32]", "model.drop": None}
    assert found.series("loss")["value"].to_pylist() == [1.0, 2.0]
    assert found.series("loss")["step"].to_pylist() == [1, 10]
    assert done.returncode == 0
    assert b"param 'lr'" in done.stderr


def test_files_that_are_missing_broken_or_old_cost_no_run(repo: Path) -> None:
    (repo / "old.json").write_text('{"loss": 1}')
    done = run("--metrics-file", "old.json", "--params-file", "none.json", "--", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert b"old.json" in done.stderr
    assert b"there is no file none.json" in done.stderr
    found = gittrack.get_run("latest")
    assert (found.status, dict(found.summary), dict(found.params)) == ("FAILED", {}, {})
    assert run("--metrics-file", "m.toml", "--", "sh", "-c", "echo '=' > m.toml").returncode == 0
    assert len(gittrack.runs()) == 2
    run("-n", "new", "--metrics-file", "old.json", "--", "sh", "-c", "echo '{\"loss\": 2}' > old.json")
    assert gittrack.get_run("new").metrics == {"loss": 2.0}


def test_secrets_pass_but_are_not_kept(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "Zx81kQmPw93LtRv7")
    done = run(
        "-q", "--", "sh", "-c", 'echo "using $MY_API_TOKEN"; printf "tail $MY_API_TOKEN"', "--password=hunter2xyz"
    )
    assert done.stdout == b"using Zx81kQmPw93LtRv7\ntail Zx81kQmPw93LtRv7"
    found = gittrack.get_run("latest")
    assert read_output(found) == b"using [scrubbed]\ntail [scrubbed]"
    assert found.command[-1] == "--password=[scrubbed]"
    assert set(found.snapshot.run.scrubbed) == {"command[3]", "artifacts.output.log"}
    git_directory = repo / ".git"
    assert [path for path in git_directory.rglob("*") if path.is_file() and b"Zx81kQ" in path.read_bytes()] == []


def test_much_output_takes_little_memory(repo: Path) -> None:
    line = b"epoch 12 step 3456 loss=0.123456 accuracy=0.98765 lr=0.0001\n"
    (repo / "big").write_bytes(line * 50_000)
    peaks = []
    for count in (1, 17):
        with start("-q", "--", "sh", "-c", f"for i in $(seq {count}); do cat big; done") as child:
            assert child.stdout is not None
            size = sum(map(len, iter(lambda: child.stdout.read(1 << 16), b"")))
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        assert (child.returncode, size) == (0, count * len(line) * 50_000)
        peaks.append(usage.ru_maxrss)
    assert gittrack.get_run("latest").artifacts()["output.log"].size == 17 * len(line) * 50_000
    assert size > 50_000_000
    assert peaks[1] - peaks[0] < 20_000, f"peak memory in KiB: {peaks}"


def test_what_stays_behind_with_the_output_does_not_hold_us(repo: Path) -> None:
    began = time.monotonic()
    done = run("--", "sh", "-c", "sleep 30 & echo $!; (sleep 0.1; echo late) & echo hi")
    took = time.monotonic() - began
    pid, *words = done.stdout.split()
    os.kill(int(pid), signal.SIGKILL)
    assert sorted(words) == [b"hi", b"late"]
    assert took < 10
    assert b"left running" in done.stderr
    assert read_output(gittrack.get_run("latest")) == done.stdout


def test_what_prints_for_ever_behind_our_back_does_not_hold_us(repo: Path) -> None:
    done = run("--", "sh", "-c", "yes & echo $! >&2")
    assert done.returncode == 0
    assert set(done.stdout.split()) == {b"y"}


def test_a_command_that_closes_its_output_is_waited_for(repo: Path) -> None:
    assert run("--", "sh", "-c", "echo hi; exec >&- 2>&-; sleep 0.3; touch mark; exit 4").returncode == 4
    assert (repo / "mark").exists()


def test_a_reader_that_goes_away_ends_the_command_as_without_us(repo: Path) -> None:
    words = shlex.join([*GITTRACK, "run", "-q", "--", "yes"])
    done = subprocess.run(
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"], capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (141, b"y\n")
    assert gittrack.get_run("latest").status == "KILLED"


def test_an_error_stream_that_goes_away_changes_no_exit_code(repo: Path) -> None:
    with start("--", "sh", "-c", "read x; exit 3", stdin=subprocess.PIPE) as child:
        assert child.stderr is not None
        assert child.stdin is not None
        child.stderr.close()
        child.stdin.write(b"go\n")
        child.stdin.close()
        assert child.wait(20) == 3
    assert gittrack.get_run("latest").status == "FAILED"


def test_closed_standard_streams(repo: Path) -> None:
    words = shlex.join([*GITTRACK, "run", "-q", "--", "sh", "-c", "echo hi; exit 3"])
    assert subprocess.run(["bash", "-c", f"{words} <&- >&- 2>&-"], timeout=30, check=False).returncode == 3
    assert read_output(gittrack.get_run("latest")) == b"hi\n"


COUNTING = """
import os, signal, sys, time
counts = {}
def note(number, frame):
    counts[number] = counts.get(number, 0) + 1
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, note)
open(sys.argv[1], "w").close()
deadline = time.monotonic() + 20
while not counts and time.monotonic() < deadline:
    time.sleep(0.01)
time.sleep(0.5)
print(sorted(counts.items()), flush=True)
sys.exit(9)
"""


@pytest.mark.parametrize("send", [os.killpg, os.kill])
def test_a_signal_reaches_the_command_once(repo: Path, send: Callable[[int, int], None]) -> None:
    names = ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2")
    children = {name: start("-q", "-n", name, "--", *python(COUNTING), name) for name in names}
    for name, child in children.items():
        wait_for(repo / name)
        send(child.pid, signal.Signals[f"SIG{name}"])
    for name, child in children.items():
        output, _ = child.communicate(timeout=60)
        assert output.decode() == f"[({signal.Signals[f'SIG{name}'].value}, 1)]\n"
        assert child.returncode == 9
        asked_to_stop = name not in ("USR1", "USR2")
        assert gittrack.get_run(name).status == ("KILLED" if asked_to_stop else "FAILED")


def test_timeout_reaches_the_command_once(repo: Path) -> None:
    script = shlex.join(["timeout", "-s", "TERM", "3", *GITTRACK, "run", "-q", "--", *python(COUNTING), "ready"])
    assert subprocess.run(["sh", "-c", script], capture_output=True, timeout=30).stdout == b"[(15, 1)]\n"


def test_a_command_may_finish_though_it_was_asked_to_stop(repo: Path) -> None:
    with start("-q", "--", "sh", "-c", "trap 'echo saving; exit 0' TERM; touch ready; sleep 20 & wait") as child:
        wait_for(repo / "ready")
        child.terminate()
        assert child.wait(20) == 0
    found = gittrack.get_run("latest")
    assert (found.status, read_output(found)) == ("FINISHED", b"saving\n")


def test_a_command_without_handlers_dies_of_what_we_are_sent(repo: Path) -> None:
    with start("-q", "--", "sh", "-c", "touch ready; exec sleep 20") as child:
        wait_for(repo / "ready")
        child.terminate()
        assert child.wait(20) == -signal.SIGTERM
    assert gittrack.get_run("latest").status == "KILLED"


def test_a_hangup_that_nohup_ignores_stays_ignored(repo: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with start("-q", "--", *python(COUNTING), "ready", preexec_fn=ignore) as child:
        wait_for(repo / "ready")
        os.killpg(child.pid, signal.SIGHUP)
        os.killpg(child.pid, signal.SIGUSR1)
        output, _ = child.communicate(timeout=30)
    assert output.decode() == f"[({signal.SIGUSR1.value}, 1)]\n"


def test_the_command_has_the_signal_mask_and_handlers_it_would_have_had(repo: Path) -> None:
    words = ["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"]
    ours, theirs = (
        [int(line.split()[1], 16) & 0x7FFFFFFF for line in text.splitlines()]  # without the C library's own signals
        for text in (run("-q", "--", *words).stdout, subprocess.run(words, capture_output=True, check=True).stdout)
    )
    assert ours == theirs
    assert len(ours) == 2


def test_kill_9_of_us_keeps_what_was_printed(repo: Path) -> None:
    script = "echo $$ > pid; echo first; printf unfinished; touch ready; sleep 30"
    with start("-n", "cut", "-p", "lr=1", "--", "sh", "-c", script) as child:
        wait_for(repo / "ready")
        deadline = time.monotonic() + 10
        (output,) = (repo / ".git/gittrack/runs").glob("*/output.log")
        while output.read_bytes() != b"first\nunfinished" and time.monotonic() < deadline:
            time.sleep(0.01)
        child.kill()
        child.wait(10)
    os.kill(int((repo / "pid").read_text()), signal.SIGKILL)
    found = gittrack.get_run("cut")
    assert (found.status, found.live, found.params) == ("KILLED", False, {"lr": 1})
    assert read_output(found) == b"first\nunfinished"
    assert list((repo / ".git/gittrack/runs").iterdir()) == []


def test_nothing_of_ours_stays_behind_when_we_are_killed(repo: Path) -> None:
    with start("-q", "--", "sh", "-c", "touch ready; exec sleep 20") as child:
        wait_for(repo / "ready")
        child.kill()
        child.wait(10)
    deadline = time.monotonic() + 10
    while len(left := list_session(child.pid)) > 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    assert left == ["sleep 20"]


def list_session(session: int) -> list[str]:
    """Return the command lines of a session's processes that have not ended."""
    listing = subprocess.run(["ps", "-eo", "sid,stat,args"], capture_output=True, text=True, check=True).stdout
    processes = [line.split(None, 2) for line in listing.splitlines()]
    return [words for number, state, words in processes if number == str(session) and state[0] != "Z"]
