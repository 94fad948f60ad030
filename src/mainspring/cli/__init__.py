"""The command line. `mainspring --help` answers at once, for a command's module is imported only when it is called."""

from __future__ import annotations

import importlib
import os
import sys

import click

import mainspring

# name → (module, what `--help` says of it)
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Write a small working project."),
    "pull": ("pull", "Fetch and verify pretrained weights."),
    "fit": ("fit", "Fit what is stale, judge it, promote it if the gate says so."),
    "evaluate": ("evaluate", "Score a version on held-out rows, with intervals."),
    "promote": ("promote", "Make a version the champion."),
    "rollback": ("promote", "Go back to the champion before."),
    "replay": ("replay", "Play dated history through the loop: would renewing on drift have paid?"),
    "serve": ("serve", "Serve the champions over HTTP."),
    "up": ("serve", "Fit what is stale, serve, monitor, renew: the whole loop."),
    "renew": ("renew", "One turn of the loop: drift? A challenger, the gate, promotion."),
    "drift": ("drift", "Show how live traffic differs from what was fitted on."),
    "predict": ("predict", "Ask the champion, from the terminal."),
    "search": ("search", "Find passages of documents, in the terminal."),
    "ask": ("ask", "Ask documents a question: an answer with its sources."),
    "questions": ("questions", "Have a language model write questions about documents."),
    "chat": ("chat", "Talk to a language model, in the terminal."),
    "status": ("status", "Show what is live, since when, on what evidence."),
    "history": ("history", "Show what happened: fits, alarms, renewals, promotions."),
    "keys": ("keys", "Create, list and remove API keys of the gateway."),
    "doctor": ("doctor", "Check this machine and project; say the remedy for what is missing."),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of a project's life, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        if name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"mainspring.cli.{COMMANDS[name][0]}"), name)

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but with a suggestion for a name that is nearly right."""
        if arguments and arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            context.fail(f"No command {arguments[0]!r}.{hint}")
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The list that `--help` shows, without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(mainspring.__version__, prog_name="mainspring")
def cli() -> None:
    """A folder of data in, an AI service out that keeps itself fresh.

    Every command acts on the project in the current folder, or on --project DIR.
    Exit codes: 0 done, 1 failed, 2 misused, 3 done but the gate said no.
    """


def main() -> None:
    """The entry point: our own errors are messages, not tracebacks."""
    from mainspring.errors import MainspringError, SpecError

    # Threads of XGBoost and scikit-learn that wait for each other must sleep, not spin: where a gateway wants
    # the processors too, spinning makes a fit several times slower. Read when those libraries are loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        cli.main(prog_name="mainspring")
    except MainspringError as error:
        click.secho(f"mainspring: {error}", fg="red" if sys.stderr.isatty() else None, err=True)
        sys.exit(2 if isinstance(error, SpecError) else 1)
    except OSError as error:  # a full disk, a folder that cannot be written: the system's words and the path say it
        click.secho(f"mainspring: {error}", fg="red" if sys.stderr.isatty() else None, err=True)
        sys.exit(1)
