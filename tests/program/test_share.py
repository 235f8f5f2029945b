"""One run dealt out to several machines: each names its part, and all parts are the whole."""

from __future__ import annotations

import pytest

from hematovision.program.console import UserError
from hematovision.program.share import Share, list_shares, parse_share


@pytest.mark.parametrize("text", ["0/4", "5/4", "4", "a/b", "1/0", "-1/4", ""])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="wants K/N"):
        parse_share(text)


def test_shares_are_listed_and_make_up_the_whole() -> None:
    assert list_shares(None, None) == []
    assert list_shares(3, None) == [Share(1, 3), Share(2, 3), Share(3, 3)]
    assert list_shares(3, "2/3") == list_shares(None, "2/3") == [Share(2, 3)]
    with pytest.raises(UserError, match="not of --shards 4"):
        list_shares(4, "2/3")
    everything = list(range(11))
    assert [k for share in list_shares(3, None) for k in everything[share.cut(11)]] == everything
