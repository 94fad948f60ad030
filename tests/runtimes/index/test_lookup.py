from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.runtimes.index.lookup import Lookup, digests_of

# Digests whose first eight bytes, which are searched, are often the same.
DIGESTS = st.lists(
    st.integers(0, 5).flatmap(lambda a: st.integers(0, 3).map(lambda b: f"{a:016x}{b:016x}")), max_size=30
)


@given(DIGESTS, DIGESTS)
def test_the_first_row_of_each_is_found(kept: list[str], wanted: list[str]) -> None:
    rows = Lookup.of(digests_of(kept, 16)).rows(digests_of(wanted, 16))
    assert rows.tolist() == [kept.index(one) if one in kept else -1 for one in wanted]


def test_what_is_no_digest_is_refused() -> None:
    for wrong in ("abc", "zz" * 16, "00" * 15):
        with pytest.raises(ValueError, match=r"."):
            digests_of([wrong], 16)
    assert digests_of([], 16).shape == (0, 16)
    assert Lookup.of(np.zeros((0, 16), np.uint8)).rows(digests_of(["00" * 16], 16)).tolist() == [-1]
