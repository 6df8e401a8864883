"""Owns the list of commands, and `gittrack` itself: its options, its help page, the loading of a command when it is
called.

The short descriptions stand here, so that a help page imports no command; a test holds them to the commands' own.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from .command import CommandGroup
from .failure import OutputClosed
from .session import Session


@dataclass(frozen=True)
class Entry:
    """Where a command lives (a module of this package and a name in it), and its help page's first line."""

    place: str
    summary: str


SECTIONS: dict[str, dict[str, Entry]] = {
    "Record": {
        "run": Entry("run:run", "Run a command and record it as a run."),
        "record": Entry("record:record", "Record metrics, params, tags, files or data inside a run."),
    },
    "Read": {
        "ls": Entry("ls:ls", "List runs as a table: the recent ones, or those a QUERY finds."),
        "best": Entry("best:best", "Show the best runs by a metric, the best first."),
        "show": Entry("show:show", "Show everything about a run."),
        "log": Entry("log:log", "Show the history of runs, newest first."),
        "compare": Entry("compare:compare", "Compare params and metrics of several runs."),
        "diff": Entry("diff:diff", "Show what changed from one run to another, code included."),
        "importance": Entry("importance:importance", "Show which params go with a metric."),
        "plot": Entry("plot:plot", "Plot metrics of runs, in the terminal or to a file."),
        "watch": Entry("watch:watch", "Follow a live run until it ends."),
        "artifact": Entry("artifact:artifact", "List, fetch, open or check a run's output files."),
        "experiment": Entry("experiment:experiment", "List, describe or change experiments."),
        "export": Entry("export:export", "Export runs as CSV, JSON lines, Parquet or a dataset."),
        "verify": Entry("verify:verify", "Check that runs are still what was recorded."),
        "du": Entry("du:du", "Show how much room runs take, here and elsewhere."),
        "sql": Entry("sql:sql", "Query runs with SQL, by DuckDB."),
    },
    "Get back": {
        "checkout": Entry("checkout:checkout", "Write a run's source code into a new directory."),
        "reproduce": Entry("reproduce:reproduce", "Run a recorded run again, and compare its metrics."),
    },
    "Change": {
        "tag": Entry("tag:tag", "Set or take off a run's tags."),
        "note": Entry("note:note", "Print or write a run's note."),
        "rename": Entry("rename:rename", "Give a run another name."),
        "rm": Entry("rm:rm", "Mark runs removed; nothing is deleted."),
        "restore": Entry("rm:restore", "Bring removed runs back."),
        "gc": Entry("gc:gc", "Delete for good the runs that were removed 30 days ago."),
        "redact": Entry("redact:redact", "Take something out of a run, and out of its history."),
    },
    "Share": {
        "status": Entry("status:status", "Say what is not pushed or pulled yet, and what is being recorded."),
        "push": Entry("push:push", "Share your runs with everybody who can read the remote."),
        "pull": Entry("fetch:pull", "Get the runs that others have pushed, and join them with yours."),
        "fetch": Entry("fetch:fetch", "Get the runs that others have pushed."),
        "remote": Entry("remote:remote", "Say which remote runs are shared through, and why."),
        "clone": Entry("clone:clone", "Get the experiments of a repository, and nothing else of it."),
    },
    "Guard": {
        "check": Entry("check:check", "Check that a run vouches for what is staged."),
        "audit": Entry("audit:audit", "Check that a run vouches for each commit of a RANGE."),
        "report": Entry("report:report", "Write what runs say about a RANGE of commits, as Markdown."),
        "hooks": Entry("hooks:hooks", "Install, remove or show Git's hooks that gittrack has."),
    },
    "Set up": {
        "init": Entry("init:init", "Write settings for this repository; never needed."),
        "recover": Entry("recover:recover", "Keep the runs of processes that died; normally automatic."),
        "completion": Entry("completion:completion", "Print the completion script of a shell."),
        "version": Entry("version:version", "Print the version of gittrack and of what it stands on."),
        "help": Entry("help:help_command", "Explain a command or a topic."),
    },
}

COMMANDS: dict[str, Entry] = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Root(CommandGroup):
    """`gittrack`: knows its commands by name and imports the one that is called."""

    hides_global_options = False
    synonyms: dict[str, str] = {  # noqa: RUF012 - as in the base class
        "list": "ls",
        "runs": "ls",
        "ps": "ls",
        "history": "log",
        "view": "show",
        "cat": "show",
        "describe": "show",
        "cmp": "compare",
        "delete": "rm",
        "remove": "rm",
        "undelete": "restore",
        "exec": "run",
        "start": "run",
        "mv": "rename",
        "exp": "experiment",
        "experiments": "experiment",
        "artifacts": "artifact",
        "config": "init",
        "purge": "gc",
        "prune": "gc",
        "scrub": "redact",
        "fsck": "verify",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help page."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, or None where there is none of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.place.partition(":")
        command: click.Command = getattr(import_module(f"{__package__}.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; raises OutputClosed where the reader of the output went away."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise OutputClosed from error  # click would make an exit of a BrokenPipeError

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by what one does with them."""
        widest = max(map(len, COMMANDS))
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{widest}}", entry.summary) for name, entry in entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so, without importing a command."""
        found = [
            CompletionItem(name, help=entry.summary) for name, entry in COMMANDS.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def _print_version(context: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from .version import find_version

        click.echo(f"gittrack {find_version()}")
        context.exit()


def make_root() -> Root:
    """Return the command that `gittrack` is."""
    return Root(
        name="gittrack",
        callback=_start,
        invoke_without_command=True,
        subcommand_metavar="COMMAND [ARGS]...",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        help="Track machine-learning experiments in Git: an experiment is a branch, a run is a commit.",
        epilog="A RUN is an id prefix, a name, a commit prefix, latest or latest~2. More: gittrack help COMMAND, "
        "gittrack help exit-codes, gittrack help json.",
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_print_version,
                help="Print the version.",
            ),
        ],
    )


@click.pass_context
def _start(context: click.Context, /, **_: Any) -> None:
    context.ensure_object(Session)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
