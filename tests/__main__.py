"""The whole gate: lint, format, types, tests. `python -m tests` runs each, and fails if any of them does.

Arguments are handed to pytest, so `python -m tests -k journal` is the gate with a smaller last step.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

STEPS = (
    ("lint", "ruff", "check", "."),
    ("format", "ruff", "format", "--check", "."),
    ("types", "mypy"),
    ("tests", "pytest", "-n", "auto", "--dist", "worksteal"),
)


def main(arguments: list[str]) -> int:
    """Run every step, also after one has failed; return 0 only where all passed."""
    failed = []
    for name, *command in STEPS:
        extra = arguments if name == "tests" else []
        print(f"== {name}: {' '.join([*command, *extra])}", flush=True)
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-m", *command, *extra], cwd=ROOT, check=False)
        print(
            f"== {name}: {'ok' if done.returncode == 0 else 'FAILED'} in {time.monotonic() - began:.1f} s", flush=True
        )
        if done.returncode != 0:
            failed.append(name)
    print(f"gate: {'failed at ' + ', '.join(failed) if failed else 'all passed'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
