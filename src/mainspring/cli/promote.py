"""`mainspring promote` and `mainspring rollback`."""

from __future__ import annotations

from pathlib import Path

import click

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option


@click.command()
@click.argument("model")
@click.argument("version")
@project_option
@json_option
def promote(model: str, version: str, folder: Path, as_json: bool) -> None:
    """Make VERSION the champion of MODEL, whatever the gate said of it."""
    from mainspring.lifecycle import promote as lifecycle

    lifecycle.promote(spec.load(folder), model, version, reason="promoted by hand")
    _say(model, version, as_json)


@click.command()
@click.argument("model")
@project_option
@json_option
def rollback(model: str, folder: Path, as_json: bool) -> None:
    """Make the champion before the present one champion again."""
    from mainspring.lifecycle import promote as lifecycle

    _say(model, lifecycle.rollback(spec.load(folder), model), as_json)


def _say(model: str, version: str, as_json: bool) -> None:
    if as_json:
        print_json({"model": model, "champion": version})
    else:
        click.echo(f"{model}: version {version} is the champion; running gateways follow within two seconds")
