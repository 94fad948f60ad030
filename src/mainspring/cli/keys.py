"""`mainspring keys`."""

from __future__ import annotations

from pathlib import Path

import click

from mainspring import spec
from mainspring.cli.options import json_option, print_json, project_option


@click.group()
def keys() -> None:
    """Create, list and remove the gateway's API keys. Before the first is made, it answers everybody."""


@keys.command()
@click.argument("name")
@project_option
def create(name: str, folder: Path) -> None:
    """Create a key called NAME, and print it: it is not kept, only its hash is."""
    from mainspring.serving import keys as store

    click.echo(store.create(spec.load(folder).state, name))


@keys.command("list")
@project_option
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """List the names of the keys."""
    from mainspring.serving import keys as store

    names = store.names(spec.load(folder).state)
    if as_json:
        print_json({"keys": names})
    elif names is None:
        click.echo("no key was ever made: the gateway answers everybody")
    else:
        click.echo("\n".join(names) or "no keys are left: the gateway answers nobody")


@keys.command()
@click.argument("name")
@project_option
def remove(name: str, folder: Path) -> None:
    """Remove the key called NAME; running gateways refuse it at once."""
    from mainspring.serving import keys as store

    store.remove(spec.load(folder).state, name)
