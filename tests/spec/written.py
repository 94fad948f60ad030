"""What the tests of the spec begin from: a project with two models, and its mistakes as lines."""

from pathlib import Path

import pytest

from mainspring import spec
from mainspring.errors import SpecError

PROJECT = '[project]\nname = "airdesk"\n'
DELAY = '[models.delay]\ntask = "classification"\ndata = "flights.csv"\ntarget = "late"\n'
FARE = '[models.fare]\ntask = "regression"\ndata = "fares.csv"\ntarget = "fare"\n'


def parse(text: str) -> spec.Project:
    return spec.parse(text, Path("/nowhere"))


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        parse(text)
    return str(caught.value).splitlines()


def mistake(text: str) -> str:
    [line] = mistakes(text)
    return line
