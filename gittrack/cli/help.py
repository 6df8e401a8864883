"""The `help` command: a command's own page, or a topic that is no command's."""

from __future__ import annotations

from pkgutil import get_data

import click
from click.shell_completion import CompletionItem

from ..errors import NotFound
from .columns import ATTRIBUTES, MORE_ATTRIBUTES, STATISTICS
from .command import Command, pass_session
from .failure import MEANINGS, find_close
from .root import COMMANDS
from .session import JSON_VERSION, Session


def _say_exit_codes() -> str:
    lines = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in MEANINGS.items())
    return f"""\
Exit codes
{lines}

gittrack run ends as the command it ran: with its exit code, or by its signal."""


def _say_columns() -> str:
    return f"""\
Columns of gittrack ls, for --columns and --sort

  attributes      {", ".join(list(ATTRIBUTES)[:7])},
                  {", ".join(list(ATTRIBUTES)[7:14])},
                  {", ".join(list(ATTRIBUTES)[14:])},
                  {", ".join(list(MORE_ATTRIBUTES)[:6])},
                  {", ".join(list(MORE_ATTRIBUTES)[6:9])},
                  {", ".join(list(MORE_ATTRIBUTES)[9:])}
  params.NAME     a param
  tags.NAME       a tag
  input.NAME.X    digest, path, kind, size or context of an input
  metrics.NAME    a metric's last value
  metrics.NAME.X  another figure of its summary: {", ".join(STATISTICS[:4])},
                  {", ".join(STATISTICS[4:])}

A bare name is an attribute, else a param, a metric or a tag of that name.
--sort takes what a query can name, with - in front for the largest first; runs
without a value come last. See: gittrack help query"""


_RUNS = """\
How to name a run

  3f9a1c2e        the beginning of its id, 4 digits or more
  brave-otter-41  its name
  8ab31e90        the beginning of a commit that holds it
  latest          the run that started last
  latest~2        the one two before it

Where a name fits several runs they are listed, and nothing is done."""

_SETTINGS = """\
Settings

  in pyproject.toml  git config           what it says
  experiment         gittrack.experiment  the experiment of runs that name none
  store              gittrack.store       the repository that holds the runs
  remote             gittrack.remote      the remote that runs go through
                     gittrack.contentRemote  where artifacts' content is
  auto-push          gittrack.autoPush    push a run when it ends
  namespace          gittrack.namespace   where the branches are

[tool.gittrack.check] in pyproject.toml says what may only be committed with a
run behind it, in the hook and in gittrack check:

  paths       guarded paths, as ["src/**", "train.py"]; * stops at a slash
  ignore      those of them that are not
  experiment  whose runs count; else all
  require     a query that a run must fulfil: "metrics.auc >= 0.9", or
              "metrics.auc >= base.metrics.auc - noise": base is the best
              setting among the runs of what HEAD has, its mean; noise the
              standard deviation between its seeds
  max-age     how long ago a run may have ended: "30d"

None is needed. An environment variable (GITTRACK_EXPERIMENT, GITTRACK_STORE, …)
counts over git config, that over [tool.gittrack] in pyproject.toml. gittrack
init prints the settings that apply here and where each comes from; with
options, it writes them."""

_JSON = f"""\
JSON

Every command that reads has --json: one document, {{"gittrack": {JSON_VERSION}, KEY: …}}. The
number changes when a shape does; fields may be added at any time.

  ls, log, recover  "runs": [RUN…]
  best              "runs": [RUN…], the best first, "goal": "min" or "max"
  ls --group        "groups": [{{"keys": {{KEY: VALUE}}, "runs": [RUN_ID…],
                    "metrics": {{METRIC: {{"count", "mean", "std", "min",
                    "max"}}}}}}…]; a key that its runs lack is left out
  importance        "importance": [{{"param", "kind", "explained",
                    "correlation", "runs", "distinct"}}…]; "kind" is number or
                    category, "runs" and "distinct" count runs and values
  show              "run": RUN; with --revisions "revisions": [RUN…]
  compare           "comparison": {{"runs", "params": ROWS, "metrics": ROWS,
                    "tags": ROWS, "inputs": ROWS, "environment": ROWS}}
  diff              "diff": a comparison of two runs without what is equal,
                    "code", the text of git's diff, and "causes", why metrics
                    changed: [{{"kind", "details"}}…], the likeliest first
  plot              "plot": {{"kind", "title", "notes", …}}; of "line" also "x",
                    "unit", "smoothing", and "curves": [{{"metric", "name",
                    "runs", "x", "y"}}…], with "raw" where smoothed, "lower",
                    "upper" and "n" where averaged; of "scatter" "dots", of
                    "parcoords" "runs" and "columns"
  checkout          "checkout": {{"run", "directory", "tree", "files", "bytes",
                    "missing": [{{"path", "why"}}…], "collisions": [[PATH…]…]}}
  reproduce         "reproduction": {{"run", "reproduced_by", "status",
                    "verdict", "tolerance", "metrics": {{METRIC: {{"verdict",
                    "old", "new", "off", "points"}}}}, "causes": [{{"kind",
                    "details"}}…]}}; "verdict" is same, close, off, failed or
                    none, of a metric same, close, off, missing, new or machine
  gc                "gc": {{"done", "runs": [{{"id", "name", "experiment",
                    "removed", "revisions", "artifacts"}}…], "content": {{WHAT:
                    {{"files", "bytes"}}}}}}
  redact            "redacted": {{"run", "revision", "changes": [{{"place",
                    "effect", "count"}}…]}}
  experiment ls     "experiments": [{{"slug", "name", "description", "tags",
                    "created", "removed", "revision", "runs"}}…]
  experiment show   "experiment": one of these
  artifact ls       "artifacts": [{{"path", "size", "oid", "here"}}…]
  artifact rm-content  "content": {{"done", "files": [{{"paths", "oid", "size",
                    "copy", "also_in", "kept"}}…], "deleted": [OID…]}}; "kept"
                    says why it stays
  artifact verify   "verified": as verify
  verify            "verified": [{{"id", "name", "experiment", "commit", "good",
                    "objects", "points", "artifacts", "contents", "hashed",
                    "not_here": [{{"path", "size"}}…], "findings": FINDINGS}}…],
                    "content_remote": NAME; each finding is {{"kind", "state",
                    "place", "reason", "id", "copies", "remedy"}}, its "state"
                    damaged or missing; "id" is an object's, or a sha256
  du                "usage": {{"total": AMOUNT, "experiments": GROUPS, "runs":
                    GROUPS, "kinds": [{{"suffix", "files", "bytes", "here"}}…],
                    "not_here", "remote", "gc": {{"runs", "content_now",
                    "content_later", "objects"}}}}; an AMOUNT is {{"local",
                    "artifacts", "artifacts_here", "metrics", "source",
                    "records"}}, a group has also "id", "name", "experiment",
                    "runs" and "shared"
  tag, note         "tags": {{NAME: VALUE}}; "note": TEXT
  sql               "rows": [{{COLUMN: VALUE}}…]
  init              "settings": {{NAME: {{"value", "from"}}}}
  version           "versions": {{NAME: VERSION}}
  status            "status": {{"remote", "why", "experiments": [{{"experiment",
                    "runs", "local", "remote", "ahead", "behind"}}…], "live",
                    "content": {{"place", "artifacts", "bytes",
                    "of_pushed_runs"}}, "background"}}; "ahead" and "behind" are
                    lists of run ids; "content" is here, and not known to be at
                    the place
  push              "pushed": [{{"experiment", "result", "runs", "merged",
                    "rounds", "reason", "findings"}}…], "remote": NAME,
                    "content": {{"sent", "bytes", "there", "missing", "kept"}},
                    but with --no-content; "result" is one of pushed,
                    current, deleted, refused; "findings" are {{"id", "run",
                    "field"}} of what looks like a secret. With --dry-run
                    "would_push": [{{"experiment", "runs", "first",
                    "findings"}}…], "content": {{"files", "bytes", "place"}}
  fetch, pull       "fetched" or "pulled": [{{"experiment", "change", "tip",
                    "runs", "refused"}}…], "remote": NAME; "change" is one of
                    same, new, forward, epoch, rewritten, deleted. With
                    --content also "content": {{"fetched", "bytes", "missing",
                    "failed"}}
  check             "check": {{"ok", "paths", "run", "nearest", "waived",
                    "notes", "log"}}; "run" vouches, else "nearest" has
                    "differences": [{{"path", "change"}}…] and "objections";
                    "change" is other, missing or extra
  audit             "audit": {{"ok", "commits": [{{"commit", "subject", "time",
                    "named", …}}…]}}; the rest as of "check"
  report            "report": {{"start", "tip", "commits" as of "audit", "runs":
                    [RUN…], "base": {{"commit", "runs"}}, "metrics": [{{"metric",
                    "goal", "here", "base", "noise", "judgement"}}…],
                    "params": {{NAME: [BASE, HERE]}}, "code"}}
  hooks status      "hooks": [{{"name", "state", "kept"}}…], "directory",
                    "why", "shared"; "state" is one of installed, outdated,
                    missing, foreign
  remote            "remotes": [{{"name", "url", "push_url", "used", "why",
                    "shared"}}…]
  clone             "cloned": as "fetched", "directory": PATH, "partial"

  RUN   {{"id", "name", "experiment", "revision", "status", "started", "ended",
        "duration", "params", "summary", "tags", "note", "command", "source",
        "environment", "artifacts", "commit", "live", …}}; what a run lacks is
        left out. "summary" is {{METRIC: {{"last", "last_step", "min", "max",
        "min_step", "max_step", "first", "first_step", "mean", "count"}}}}.
  ROWS  {{KEY: {{"differs", "values": {{RUN_ID: VALUE}}}}}}; a run without a value
        is not among them. Of a metric also "goal" ("min", "max" or null) and
        "best", a list of run ids. Of an input a value is a list of {{"name",
        "path", "kind", "digest", "size", "context", …}}; a size of -1 is not
        known.

Times are ISO 8601 UTC, durations seconds, sizes bytes. A number that is none is
"NaN", "Infinity" or "-Infinity"."""


def _read_query_language() -> str:
    text = get_data("gittrack", "query/help.txt")
    assert text is not None
    return text.decode().rstrip("\n")


_TABLES = """\
The tables of gittrack export and gittrack sql

  runs       a row a run: id, name, experiment, status, started, ended, duration
             (in seconds), params.NAME, metrics.NAME (the last value),
             tags.NAME, then user, host, command, exit_code, note, failure,
             incomplete, parent, reproduces, revision, live, removed, commit,
             source_commit, source_branch, source_dirty, source_directory,
             source_remote, source_captured, source_tree
  params     run_id, key, kind (null, bool, int, float, str), value, number
  metrics    run_id, key, last, min, max, mean, first, count, last_step,
             min_step, max_step, first_step
  points     run_id, key, step, timestamp, value
  tags       run_id, key, value
  artifacts  run_id, path, oid, size
  inputs     run_id, name, path, kind, digest, size, context

A param's value is text for any kind, its number there for all but texts. In
SQL a name with a dot stands in double quotes: "params.lr". Times are UTC.

CSV has a header; texts are quoted, numbers are not. A cell without anything in
it is a null, an empty text is "". Floats that are none are NaN, inf and -inf.
Text that begins with = + - @ or a tab, and is no number, has a ' in front, so
that no spreadsheet takes it for a formula; where one or more ' stood before
such a character already, there is one more.

JSON lines leave out what is null; numbers that are none are the texts "NaN",
"Infinity" and "-Infinity". Parquet has them all as they are.

A dataset has a directory a table, and in it one an experiment, as Hive has it:
DIR/points/experiment=churn/0.parquet. Its runs are without params, metrics and
tags, which are tables of their own: so the columns are always the same. The
column experiment comes from the path, as in DuckDB:

  SELECT * FROM read_parquet('DIR/runs/**/*.parquet', hive_partitioning = true)"""

TOPICS = {
    "runs": ("how to name a run", _RUNS),
    "query": ("the language that finds runs", _read_query_language()),
    "tables": ("what gittrack export and sql hold", _TABLES),
    "columns": ("what gittrack ls can show and sort by", _say_columns()),
    "settings": ("what can be set, and where", _SETTINGS),
    "json": ("the shapes that --json prints", _JSON),
    "exit-codes": ("what a command's exit code means", _say_exit_codes()),
}


def _complete_topic(context: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    words = {name: entry.summary for name, entry in COMMANDS.items()}
    words.update((name, said) for name, (said, _) in TOPICS.items())
    return [CompletionItem(word, help=said) for word, said in words.items() if word.startswith(incomplete)]


def _find_command_help(context: click.Context, words: tuple[str, ...]) -> str:
    """Return the help page of a command, given by the words it is called with."""
    here = context.find_root()
    for word in words:
        group = here.command
        command = group.get_command(here, word) if isinstance(group, click.Group) else None
        if command is None:
            close = find_close(word, [*TOPICS, *COMMANDS])
            raise NotFound(
                f"no command or topic {' '.join(words)!r:.100}",
                hint=" or ".join(f"gittrack help {name}" for name in close) or "gittrack help",
            )
        here = click.Context(command, info_name=word, parent=here)
    return here.get_help()


@click.command("help", cls=Command, examples=("gittrack help json", "gittrack help experiment create"))
@click.argument("topic", nargs=-1, metavar="[COMMAND|TOPIC]", shell_complete=_complete_topic)
@click.pass_context
@pass_session
def help_command(session: Session, context: click.Context, topic: tuple[str, ...]) -> None:
    """Explain a command or a topic.

    Topics: runs, query, tables, columns, settings, json, exit-codes.
    """
    known = TOPICS.get(topic[0]) if len(topic) == 1 else None
    session.terminal.write([known[1] if known else _find_command_help(context, topic)])
