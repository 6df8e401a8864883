"""Reads values as people write them: `name=value` words, a command's own options, files of params or metrics.

Checks how a value is written, not whether a run can take it: names and lengths are checked where they are recorded.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any

from ..errors import InvalidInput, NotFound
from ..model import Scalar

_WORDS: Mapping[str, Scalar] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "None"), None),
    **dict.fromkeys(("nan", "NaN", ".nan"), math.nan),
    **dict.fromkeys(("inf", "+inf", "Infinity", "+Infinity", ".inf"), math.inf),
    **dict.fromkeys(("-inf", "-Infinity", "-.inf"), -math.inf),
}
# Compiled when first used: a short call of `gittrack record` needs few of them.
_INT = r"[+-]?(0|[1-9][0-9]*)"
_FLOAT = r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]+)?"
_LEADING_ZERO = r"[+-]?0[0-9]"
_INT64 = range(-(1 << 63), 1 << 63)

_SCRIPT_ENDINGS = (".py", ".sh", ".R", ".r", ".jl", ".lua", ".pl", ".rb", ".js", ".mjs", ".ts", ".ipynb")
# Programs that run another one, named after options of their own.
_LAUNCHERS = frozenset(
    "python pypy ipython torchrun accelerate deepspeed horovodrun mpirun mpiexec srun uv poetry pipenv pdm hatch pixi "
    "conda mamba ray env nice time bash sh zsh dash Rscript julia node ruby perl lua papermill".split()
)
_LAUNCHER_MODULES = (
    "torch.distributed.run",
    "torch.distributed.launch",
    "accelerate.commands.launch",
    "pdb",
    "cProfile",
)
_OVERRIDE = r"(?s)\+{0,2}([A-Za-z_][\w.@/-]*)=(.*)"

_STEP = "step"


def parse_value(text: str) -> Scalar:
    """Return the int, float, bool, None or str that text spells, by the rules of YAML 1.2 with fewer surprises.

    `true`, `null`, `1`, `-2.5`, `1e-4`, `nan`, `inf` are what they look like, and so are Python's `True` and `None`.
    Quotes make a string of anything: `"1.10"`. Whatever reads differently in different places is a string as well:
    leading zeros (`007`), `0x1f`, `1_000`, `yes`, `12:30`, `1.2.3`, integers over 64 bits, numbers over the range of
    a float, the empty text.
    """
    if text in _WORDS:
        return _WORDS[text]
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if len(text) > 400 or re.match(_LEADING_ZERO, text):
        return text
    if re.fullmatch(_INT, text):
        number = int(text)
        return number if number in _INT64 else text
    if re.fullmatch(_FLOAT, text):
        real = float(text)
        return text if math.isinf(real) else real
    return text


def split_assignment(word: str) -> tuple[str, str]:
    """Return the name and the text of a word such as `lr=0.1`; raises InvalidInput for a word without a name or `=`."""
    name, sign, text = word.partition("=")
    if not sign or not name:
        raise InvalidInput(f"expected NAME=VALUE, not {word!r:.200}", hint=f"{name or 'name'}=VALUE")
    return name, text


def split_assignments(words: Iterable[str]) -> dict[str, str]:
    """Return names and texts of several words; raises InvalidInput where one name is given two texts."""
    texts: dict[str, str] = {}
    for word in words:
        name, text = split_assignment(word)
        if texts.setdefault(name, text) != text:
            raise InvalidInput(f"{name!r} is given twice: {texts[name]!r:.100} and {text!r:.100}")
    return texts


def parse_params(words: Iterable[str]) -> dict[str, Scalar]:
    """Return the params that words such as `lr=0.1` spell, typed as parse_value does."""
    return {name: parse_value(text) for name, text in split_assignments(words).items()}


def parse_number(name: str, text: str) -> float:
    """Return a metric's value as text spells it; raises InvalidInput for anything that float() does not take."""
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"metric {name!r} must be a number, not {text!r:.100}") from None


def find_command_params(command: Sequence[str]) -> dict[str, Scalar]:
    """Return the params that a command's own words give it, under the names as they are typed.

    `--lr 0.1`, `--lr=0.1`, `lr=0.1` and `+lr=0.1` (Hydra) give `lr`; `--amp` with no value gives True; several numbers
    (`--layers 64 32`) and repeated options give one text, `64 32`. Short options, other words and what follows a bare
    `--` give nothing. Where the first word is an interpreter or a launcher, the words before its script or module are
    its own business.
    """
    found: dict[str, list[str | None]] = {}
    words = list(_find_own_words(command))
    position = 0
    while position < len(words) and words[position] != "--":
        word = words[position]
        position += 1
        override = re.fullmatch(_OVERRIDE, word)
        if override:
            found.setdefault(override.group(1), []).append(override.group(2))
        elif word.startswith("--"):
            name, sign, text = word[2:].partition("=")
            texts = [text] if sign else _take_values(words[position:])
            position += 0 if sign else len(texts)
            found.setdefault(name, []).extend(texts or [None])
    return {name: _join_values(texts) for name, texts in found.items() if name}


def replace_command_params(command: Sequence[str], changes: Mapping[str, str]) -> tuple[str, ...]:
    """Return a command whose own words give other values to params, in the spellings of `find_command_params`.

    `-` and `_` are the same in a name. Raises InvalidInput for a param that the command does not say.
    """
    words = list(command)
    wanted = {name.replace("-", "_"): name for name in changes}
    position = len(words) - len(_find_own_words(words))
    while position < len(words) and words[position] != "--":
        word = words[position]
        position += 1
        override = re.fullmatch(_OVERRIDE, word)
        name, sign, _ = override.group(1, 0, 0) if override else word[2:].partition("=")
        key = name.replace("-", "_")
        length = len(_take_values(words[position:])) if word.startswith("--") and not sign else 0
        if key in wanted and (override or word.startswith("--")):
            text = changes[wanted.pop(key)]
            if sign:
                words[position - 1] = f"{word.partition('=')[0]}={text}"
            else:
                words[position : position + length] = [text]
                length = 1
        position += length
    if wanted:
        name = next(iter(wanted.values()))
        raise InvalidInput(
            f"the command does not say {name!r:.100}, so it cannot be given another value", hint="-- COMMAND"
        )
    return tuple(words)


def _find_own_words(command: Sequence[str]) -> Sequence[str]:
    """Return the words of a command line behind the program that they are meant for."""
    if not command or PurePath(command[0]).name.rstrip("0123456789.") not in _LAUNCHERS:
        return command[1:]
    for position, word in enumerate(command[1:], start=1):
        if word.endswith(_SCRIPT_ENDINGS) and not word.startswith("-"):
            return command[position + 1 :]
        if word == "-m":
            return _find_words_of_module(command[position + 1 :])
        if word == "-c":  # a program in one word
            return command[position + 2 :]
        if word == "--":
            break
    return command[1:]


def _find_words_of_module(words: Sequence[str]) -> Sequence[str]:
    """Return the words behind a module's name, or behind the script that it launches."""
    if words[:1] and words[0] in _LAUNCHER_MODULES:
        for position, word in enumerate(words):
            if word.endswith(_SCRIPT_ENDINGS):
                return words[position + 1 :]
    return words[1:]


def _take_values(words: Sequence[str]) -> list[str]:
    """Return the words that are an option's value: one, or several numbers in a row."""
    values: list[str] = []
    for word in words:
        if _is_option(word) or (re.fullmatch(_OVERRIDE, word) and not values):
            break
        if values and not (_is_number(values[-1]) and _is_number(word)):
            break
        values.append(word)
    return values


def _is_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _is_number(word)


def _is_number(word: str) -> bool:
    value = parse_value(word)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _join_values(texts: Sequence[str | None]) -> Scalar:
    if len(texts) == 1:
        return True if texts[0] is None else parse_value(texts[0])
    return " ".join("true" if text is None else text for text in texts)


def read_params_file(path: Path) -> Mapping[str, Any]:
    """Return the mapping in a JSON, YAML or TOML file; raises NotFound, or InvalidInput for anything else in it."""
    content = _read_document(path)
    if not isinstance(content, Mapping):
        raise InvalidInput(f"{path}: a file of params holds names and values, not {_name_type(content)}")
    return content


def read_metrics_file(path: Path) -> list[tuple[int | None, dict[str, float]]]:
    """Return the rows of metrics in a JSON, JSON Lines, YAML or TOML file: a step, where one is given, and values.

    A file holds a mapping of names to numbers, nested or not (joined with dots), a mapping of names to lists of
    numbers (one row for each position), or a list of mappings. `step` in a mapping is its step; a list's rows without
    one are numbered from 0. What is no number, such as a model's name, is left out. Raises NotFound, or InvalidInput
    for a file with no number in it.
    """
    content = _read_document(path)
    if isinstance(content, Mapping):
        rows = [*_number_rows(_turn_columns(content), path), (_find_step(content, path), dict(_find_numbers(content)))]
    elif isinstance(content, list) and all(isinstance(row, Mapping) for row in content):
        rows = _number_rows(content, path)
    else:
        raise InvalidInput(f"{path}: a file of metrics holds names and numbers, not {_name_type(content)}")
    rows = [(step, values) for step, values in rows if values]
    if not rows:
        raise InvalidInput(f"{path}: no metric in it: no name has a number")
    return rows


def _number_rows(rows: Iterable[Mapping[Any, Any]], path: Path) -> list[tuple[int | None, dict[str, float]]]:
    """Return each row's step, its position where it has none, and its numbers."""
    numbered: list[tuple[int | None, dict[str, float]]] = []
    for position, row in enumerate(rows):
        step = _find_step(row, path)
        numbered.append((position if step is None else step, dict(_find_numbers(row))))
    return numbered


def _turn_columns(columns: Mapping[Any, Any]) -> list[dict[str, object]]:
    """Return the lists of a mapping as rows."""
    lists = {str(name): values for name, values in columns.items() if isinstance(values, list)}
    return [
        {name: values[position] for name, values in lists.items() if position < len(values)}
        for position in range(max(map(len, lists.values()), default=0))
    ]


def _find_step(row: Mapping[Any, Any], path: Path) -> int | None:
    step = row.get(_STEP)
    if isinstance(step, list):  # a column, which is part of each row
        return None
    if isinstance(step, float) and step.is_integer():
        step = int(step)
    if step is not None and (isinstance(step, bool) or not isinstance(step, int)):
        raise InvalidInput(f"{path}: a step must be a whole number, not {step!r:.100}")
    return step


def _find_numbers(row: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from _find_numbers(value, f"{prefix}{key}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and (prefix or key != _STEP):
            yield f"{prefix}{key}", float(value)
        elif isinstance(value, str) and isinstance(number := parse_value(value), float) and not math.isfinite(number):
            yield f"{prefix}{key}", number  # JSON has no other way to write NaN and the infinities


def _read_document(path: Path) -> Any:
    """Return what a file holds, by its ending; one with no known ending is read as JSON, else as YAML."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    ending = path.suffix.lower()
    try:
        if ending == ".toml":
            return _parse_toml(text)
        if ending in (".jsonl", ".ndjson"):
            return _parse_json_lines(text)
        if ending in (".yaml", ".yml"):
            return _parse_yaml(text)
        try:
            return json.loads(text)
        except ValueError as error:
            if ending != ".json":
                return _parse_yaml(text)
            try:
                return _parse_json_lines(text)
            except ValueError:
                raise error from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} cannot be read: {' '.join(str(error).split())}") from None


def _parse_json_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _parse_toml(text: str) -> Any:
    return import_module("tomllib" if sys.version_info >= (3, 11) else "tomli").loads(text)


def _parse_yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads `1e-4` as the number that it is in YAML 1.2, and everywhere else."""

    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+\Z"), list("-+0123456789")
    )
    try:
        return yaml.load(text, Loader=Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(error) from None


def _name_type(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
