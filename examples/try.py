"""Try gittrack on real training: a scratch repository, a small sweep in it, and the commands that show what was kept.

    python examples/try.py [DIRECTORY]

Everything happens below DIRECTORY, which must be empty or not exist yet (by default a new temporary directory).
Nothing is downloaded: the data sets are those that scikit-learn ships.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gittrack

EXAMPLES = Path(__file__).resolve().parent
FILES = ("sweep/train.py", "sweep/sweep.py", "shell/train.sh", "shell/points.csv")

# The change made between the two halves of the sweep: the features of breast_cancer differ in size by a factor of
# a hundred thousand, so that dividing all by the largest leaves most of them invisible.
BEFORE = """    largest = abs(train).max()
    return train / largest, valid / largest, test / largest
"""
AFTER = """    mean, deviation = train.mean(axis=0), train.std(axis=0) + 1e-9
    return tuple((part - mean) / deviation for part in (train, valid, test))
"""


def run(*command: str) -> None:
    """Print a command and run it where we stand; stop the program where it fails."""
    print(f"\n$ {shlex.join(command)}", flush=True)
    code = subprocess.run(command).returncode
    if code != 0:
        sys.exit(f"{shlex.join(command)}: exit code {code}")


def make_repository(directory: Path) -> None:
    """Make a repository with the example code as its first commit, and stand in it."""
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        sys.exit(f"{directory} is not empty")
    os.chdir(directory)
    for file in FILES:
        Path(file).parent.mkdir(exist_ok=True)
        shutil.copy2(EXAMPLES / file, file)
    run("git", "init", "--quiet")
    run("git", "config", "user.name", "Gittrack Example")
    run("git", "config", "user.email", "example@localhost")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "-m", "Train classifiers")


def change_the_code() -> None:
    """Edit train.py as one would by hand, and do not commit it."""
    script = Path("sweep/train.py")
    text = script.read_text(encoding="utf-8")
    assert BEFORE in text, "train.py no longer holds the lines this program changes"
    script.write_text(text.replace(BEFORE, AFTER), encoding="utf-8")
    print("\n# Now the features are standardised instead. The change is left uncommitted.")
    run("git", "diff", "--stat")


def find_pair() -> tuple[str, str]:
    """Return the names of two runs with equal params, before and after the change: the two that differ the most."""
    runs = sorted(gittrack.runs("breast_cancer"), key=lambda run: run.started)
    pairs = [(old, new) for old in runs for new in runs if old.started < new.started and old.params == new.params]
    old, new = max(pairs, key=lambda pair: pair[1].metrics["test_accuracy"] - pair[0].metrics["test_accuracy"])
    return old.name, new.name


def main() -> None:
    """Make the repository, run everything in it, and show what gittrack kept."""
    parser = argparse.ArgumentParser(description="Try gittrack on real training in a scratch repository.")
    parser.add_argument("directory", nargs="?", type=Path, help="an empty or new directory")
    directory = parser.parse_args().directory or Path(tempfile.mkdtemp(prefix="gittrack-try-"))
    programs = Path(sys.executable).parent
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    began = time.perf_counter()
    print(f"# A scratch repository: {directory.resolve()}")
    make_repository(directory)

    print("\n# Ten runs, a few at a time; train.py calls gittrack.")
    run("python", "sweep/sweep.py", "--data=breast_cancer", "--models", "sgd", "mlp", "boosting", "svm")
    change_the_code()
    run("python", "sweep/sweep.py", "--data=breast_cancer", "--models", "sgd", "mlp")

    print("\n# A program that is no Python at all; it calls `gittrack record`.")
    for rate in ("0.1", "0.5"):
        run("gittrack", "run", "-e", "shell", "--", "shell/train.sh", "--rate", rate)

    print("\n# What was kept. Two of the runs had the same params; only the code between them differs.")
    before, after = find_pair()
    run("gittrack", "ls", "-e", "breast_cancer")
    run("gittrack", "ls", "-e", "breast_cancer", "--group", "model", "--columns", "test_accuracy")
    run("gittrack", "compare", before, after)
    run("gittrack", "diff", before, after)
    run("git", "log", "--oneline", "gittrack/breast_cancer")
    run("gittrack", "ls", "-e", "shell")

    print(f"""
# {time.perf_counter() - began:.0f} seconds. All of it is in the repository's own Git history; look further:
  export PATH={shlex.quote(str(programs))}:$PATH
  cd {shlex.quote(str(directory.resolve()))}
  gittrack show {after}
  gittrack artifact ls {after}
  gittrack log breast_cancer
  git status                # your branch, index and files are as you left them""")


if __name__ == "__main__":
    main()
