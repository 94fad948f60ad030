from __future__ import annotations

import re
import sys

import pytest

from mainspring import errors
from mainspring.errors import MainspringError, MissingExtraError, RequestError, require

TREE = {
    "SpecError",
    "DataError",
    "RequestError",
    "BrokenJsonError",
    "UnsupportedError",
    "ContextError",
    "OverloadedError",
    "EngineGoneError",
    "WeightsError",
    "ParityError",
    "RegistryError",
    "BusyError",
    "StoreError",
    "TrackingError",
    "RuntimeLoadError",
    "MissingExtraError",
}


def test_every_error_is_in_the_tree_and_in_its_drawing():
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert kinds == TREE | {"MainspringError"}
    assert all(issubclass(getattr(errors, name), MainspringError) for name in TREE)
    assert set(re.findall(r"─ (\w+)", errors.__doc__)) == TREE


def test_a_request_error_knows_its_place():
    assert RequestError("no", "$[3].distance").place == "$[3].distance"
    assert RequestError("no").place == "$"


def test_require_gives_the_module():
    assert require("json", "serve") is sys.modules["json"]


def test_require_names_the_package_and_the_extra():
    with pytest.raises(MissingExtraError, match=r"'nothing_of_this_name'.*pip install 'mainspring\[tracking\]'"):
        require("nothing_of_this_name.client", "tracking")


def test_a_package_that_is_there_but_lacks_one_of_its_own_is_no_missing_extra(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import something_it_needs\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_it_needs"):
        require("half_installed", "serve")
