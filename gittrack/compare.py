"""Compares what runs recorded: which params differ, which metrics, who is best, which data, how environments changed.

Pure: values in, values out. Knows nothing of how runs are found or shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Literal

from .model import Input, MetricSummary, Scalar

Goal = Literal["min", "max"]
Sameness = Literal["same", "other", "unknown"]


class Absence(Enum):
    """The type of ABSENT, which stands where a run has no such key; None is a param's own null."""

    ABSENT = "absent"


ABSENT = Absence.ABSENT

_OF_ONE_URL = "etag"  # the scheme of digests that say nothing of another URL

Value = Scalar | Absence


@dataclass(frozen=True)
class Row:
    """One key across several runs: a value for each run, in the runs' order, and whether they differ."""

    key: str
    values: tuple[Value, ...]

    @property
    def differs(self) -> bool:
        """Whether any two of the runs have different values, or one has none."""
        return any(not is_same(self.values[0], value) for value in self.values[1:])


@dataclass(frozen=True)
class MetricRow:
    """One metric across several runs: its last value in each (None where a run lacks it), the goal, and who is best.

    `best` holds the positions of the runs with the best value; it is empty where there is no goal or nothing to choose.
    """

    metric: str
    values: tuple[float | None, ...]
    goal: Goal | None
    best: frozenset[int]

    @property
    def differs(self) -> bool:
        """Whether any two of the runs have different values, or one has none."""
        first = self.values[0]
        return any(
            (first is None) != (value is None)
            or (first is not None and value is not None and not _is_same_float(first, value))
            for value in self.values[1:]
        )


@dataclass(frozen=True)
class InputRow:
    """The data of one name across several runs: what each of them read under it, nothing where it read none."""

    name: str
    entries: tuple[tuple[Input, ...], ...]

    @property
    def differs(self) -> bool:
        """Whether any two of the runs read different data, or may have, or one read none."""
        return any(judge_data(self.entries[0], entries) != "same" for entries in self.entries[1:])


def align_inputs(inputs: Sequence[Sequence[Input]]) -> list[InputRow]:
    """Return one row for every name that any run gave to data, sorted by name."""
    names = sorted({entry.name for entries in inputs for entry in entries})
    return [
        InputRow(name, tuple(tuple(entry for entry in entries if entry.name == name) for entries in inputs))
        for name in names
    ]


def judge_data(left: Sequence[Input], right: Sequence[Input]) -> Sameness:
    """Tell whether two runs read the same data under one name; unknown where nothing but a digest could tell.

    Data without a digest is the same where address, size and the server's date are.
    """
    if len(left) != len(right):
        return "other"
    found = {_judge_entry(*pair) for pair in zip(*(sorted(side, key=_identify) for side in (left, right)), strict=True)}
    return "other" if "other" in found else "unknown" if "unknown" in found else "same"


def _judge_entry(left: Input, right: Input) -> Sameness:
    if _identify(left) == _identify(right):
        return "same"
    if (left.find_fact("origin") == "memory") != (right.find_fact("origin") == "memory"):
        return "unknown"  # a table's digest and size are not those of any file it was read from
    if left.size is not None and right.size is not None and left.size != right.size:
        return "other"
    left_scheme, right_scheme = (entry.digest.partition(":")[0] for entry in (left, right))
    if left_scheme != right_scheme or not left_scheme:
        return "unknown"
    return "unknown" if left_scheme == _OF_ONE_URL and _locate(left) != _locate(right) else "other"


def _identify(entry: Input) -> tuple[str, ...]:
    if not entry.digest:
        return ("", _locate(entry), str(entry.size), str(entry.find_fact("modified")))
    return (entry.digest, _locate(entry)) if entry.digest.startswith(f"{_OF_ONE_URL}:") else (entry.digest,)


def _locate(entry: Input) -> str:
    """Return an address without its query, where signatures stand that are new each time."""
    return entry.path.partition("?")[0] if "://" in entry.path else entry.path


def is_same(left: Value, right: Value) -> bool:
    """Tell whether two params have the same value.

    Numbers are compared as numbers: 1 and 1.0 are the same, and NaN is the same as NaN. All else is typed: 1 differs
    from "1" and from true, and null from a param that is not there.
    """
    if _is_number(left) and _is_number(right):
        return left == right or (left != left and right != right)  # NaN alone is not itself
    return type(left) is type(right) and left == right


def align_values(mappings: Sequence[Mapping[str, Scalar]]) -> list[Row]:
    """Return one row for every key of any mapping, sorted by key."""
    keys = sorted({key for mapping in mappings for key in mapping})
    return [Row(key, tuple(mapping.get(key, ABSENT) for mapping in mappings)) for key in keys]


def align_metrics(
    summaries: Sequence[Mapping[str, MetricSummary]], *, goals: Mapping[str, Goal] | None = None
) -> list[MetricRow]:
    """Return one row for every metric of any run, sorted by name.

    A metric's goal is what `goals` says, else what its name suggests.
    """
    goals = goals or {}
    rows = []
    for metric in sorted({metric for summary in summaries for metric in summary}):
        values = tuple(summary[metric].last if metric in summary else None for summary in summaries)
        goal = goals.get(metric) or guess_goal(metric)
        rows.append(MetricRow(metric, values, goal, find_best(values, goal=goal)))
    return rows


def find_best(values: Sequence[float | None], *, goal: Goal | None) -> frozenset[int]:
    """Return the positions of the best values; none where no run is worse. NaN is worse than any number."""
    present = {position: value for position, value in enumerate(values) if value is not None}
    numbers = [value for value in present.values() if not math.isnan(value)]
    if goal is None or not numbers:
        return frozenset()
    target = min(numbers) if goal == "min" else max(numbers)
    best = frozenset(position for position, value in present.items() if value == target)
    return best if len(best) < len(present) else frozenset()


def flatten_environment(environment: Mapping[str, object]) -> dict[str, Scalar]:
    """Return an environment as flat facts: nested keys joined by dots, lists by commas, such as `packages.numpy`."""
    facts: dict[str, Scalar] = {}
    _flatten(environment, "", facts)
    return facts


def _flatten(mapping: Mapping[str, object], prefix: str, facts: dict[str, Scalar]) -> None:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            _flatten(value, f"{prefix}{key}.", facts)
        elif isinstance(value, (list, tuple)):
            facts[prefix + key] = ", ".join(map(str, value))
        elif value is None or isinstance(value, (str, int, float, bool)):
            facts[prefix + key] = value
        else:
            facts[prefix + key] = str(value)


def rank_metrics(summaries: Sequence[Mapping[str, MetricSummary]]) -> list[str]:
    """Return every metric of any run, the most telling first, as `order_metrics` does."""
    counts: dict[str, int] = {}
    for summary in summaries:
        for metric in summary:
            counts[metric] = counts.get(metric, 0) + 1
    return order_metrics(counts)


def order_metrics(counts: Mapping[str, int]) -> list[str]:
    """Return metrics, given with the number of runs that have each, the most telling first.

    First those with a known goal, then those that most runs have, then those measured on held-out data, then by name;
    what reads like a machine's own figures (time, cpu, memory) comes last.
    """

    def order(metric: str) -> tuple[bool, bool, int, bool, str]:
        words = set(_split_words(metric))
        return (
            bool(words & _MACHINE_WORDS),
            guess_goal(metric) is None,
            -counts[metric],
            not words & _HELD_OUT_WORDS,
            metric,
        )

    return sorted(counts, key=order)


def _gather_words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MIN_WORDS = _gather_words("""
    aic bic bpb bpc bpd brier bytes cer cost crossentropy deviance distance divergence duration ece eer elapsed err
    error errors failures far fid fnr fpr frr hamming kid kl latency logloss losses loss lpips mae mape memory mer
    miss misses ms mse msle nll nlpd penalty perplexity ppl regret residual residuals rmse rmsle runtime sec seconds
    secs smape ter time violation wer
""")
_MAX_WORDS = _gather_words("""
    acc accuracy ap ari auc auprc auroc bertscore bleu chrf cider correlation coverage dcg dice elbo elo exact f1 f2
    fbeta fps fscore gini hit hits iou jaccard kappa kendall lift likelihood map mcc meteor miou mrr ndcg nmi npv
    pearson ppv prauc precision psnr purity r2 recall return returns reward roc rouge score sensitivity silhouette snr
    spearman specificity speedup spice ssim success throughput tnr top1 top5 tpr win winrate wins
""")
_GOAL_WORDS = _MIN_WORDS | _MAX_WORDS
_TIME_UNITS = _gather_words("h hour hours min minute minutes ms s sec second seconds secs")
_MACHINE_WORDS = _gather_words("cpu disk duration elapsed gpu memory ram runtime seconds system time vram")
_HELD_OUT_WORDS = _gather_words("cv dev eval heldout holdout test val valid validation")
_OUTCOMES: Mapping[str, Goal] = {"true": "max", "false": "min"}
_NEGATIONS = frozenset({"neg", "negative"})
_PART = re.compile(r"[A-Za-z0-9]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")


def guess_goal(metric: str) -> Goal | None:
    """Return whether less or more of a metric is better, as its name suggests, or None where the name says nothing.

    The last telling word decides (`accuracy_loss` is a loss); `neg_` turns it round, as in scikit-learn's scorers; what
    is counted per unit of time is a throughput.
    """
    words = _split_words(metric)
    if "per" in words and set(words[words.index("per") + 1 :]) & _TIME_UNITS:
        return "max"
    for first, second in pairwise(words):
        if first in _OUTCOMES and second in ("positive", "positives", "negative", "negatives"):
            return _OUTCOMES[first]
    found: Goal | None = None
    position = 0
    for index, word in enumerate(words):
        stem = word.rstrip("0123456789")
        if word in _MAX_WORDS or stem in _MAX_WORDS:
            found, position = "max", index
        elif word in _MIN_WORDS or stem in _MIN_WORDS:
            found, position = "min", index
    if _NEGATIONS & set(words[:position]) and found is not None:
        return "min" if found == "max" else "max"
    return found


def is_machine_metric(metric: str) -> bool:
    """Tell whether a metric reads like a figure of the machine, such as a time or a memory size, and not of a model."""
    words = _split_words(metric)
    per_time = "per" in words and _TIME_UNITS.intersection(words[words.index("per") + 1 :])
    return bool(per_time or _MACHINE_WORDS.intersection(words))


def _split_words(metric: str) -> list[str]:
    """Return the words of a metric's name in lower case: split at punctuation, and unknown ones at changes of case."""
    text = re.sub(r"/\s*(?=(?:s|sec|second|min|minute|hour|h)$)", " per ", metric)
    words = []
    for part in _PART.findall(text):
        known = part.lower().rstrip("0123456789") in _GOAL_WORDS
        words += [part] if known else _WORD.findall(part)
    return [word.lower() for word in words]


def _is_number(value: Value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_same_float(left: float, right: float) -> bool:
    return left == right or (math.isnan(left) and math.isnan(right))
