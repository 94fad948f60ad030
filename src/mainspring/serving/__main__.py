"""One gateway worker: `python -m mainspring.serving --project DIR`. `mainspring serve` runs it under a supervisor."""

from __future__ import annotations

import argparse
import sys

from mainspring import spec
from mainspring.errors import MainspringError
from mainspring.serving.server import run


def main() -> None:
    """Read the arguments, and serve."""
    parser = argparse.ArgumentParser(prog="python -m mainspring.serving", description=__doc__)
    parser.add_argument("--project", default=".")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--workers", type=int, help="how many workers share this machine")
    parser.add_argument("--fd", type=int, help="a listening socket, inherited from a supervisor")
    arguments = parser.parse_args()
    try:
        project = spec.load(arguments.project)
        if arguments.workers:
            serving = project.serving.model_copy(update={"workers": arguments.workers})
            project = project.model_copy(update={"serving": serving})
        run(project, host=arguments.host, port=arguments.port, fd=arguments.fd)
    except MainspringError as error:
        sys.exit(f"mainspring: {error}")


main()
