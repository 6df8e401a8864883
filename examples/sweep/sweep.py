"""Run train.py over a grid of models, hyperparameters and seeds, a few runs at a time.

python sweep.py --data digits --seeds 0 1
python sweep.py --data breast_cancer --models sgd mlp
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

GRID = {
    "sgd": {"rate": [0.01, 0.1]},
    "mlp": {"rate": [0.001, 0.01], "hidden": [16, 64]},
    "forest": {"depth": [3, 12]},
    "boosting": {"rate": [0.05, 0.2], "depth": [3]},
    "svm": {"c": [1, 10]},
}


def list_trainings(data, models, seeds):
    """Return the arguments of train.py, one list for each point of the grid."""
    trainings = []
    for model in models:
        names, choices = GRID[model].keys(), GRID[model].values()
        for seed, *values in itertools.product(seeds, *choices):
            options = [f"--{name}={value}" for name, value in zip(names, values, strict=True)]
            trainings.append([f"--data={data}", f"--model={model}", f"--seed={seed}", *options])
    return trainings


def train(arguments):
    """Run one training in a process of its own and return what it ended with."""
    script = Path(__file__).with_name("train.py")
    began = time.perf_counter()
    code = subprocess.run([sys.executable, str(script), *arguments]).returncode
    print(f"{time.perf_counter() - began:5.1f} s  exit {code}  {' '.join(arguments)}", flush=True)
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--models", nargs="+", choices=list(GRID), default=list(GRID))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()

    os.environ["OMP_NUM_THREADS"] = "1"  # the runs share the cores, so that each must keep to one
    with ThreadPoolExecutor(args.jobs) as pool:
        codes = list(pool.map(train, list_trainings(args.data, args.models, args.seeds)))
    sys.exit(1 if any(codes) else 0)


if __name__ == "__main__":
    main()
