"""What servers send beside the book, row by row: see `tests.support.play_deviation`."""

import pytest

from tests.support.deviations import Deviation
from tests.support.play_deviation import DEVIATIONS, play_deviation, solve_with


@pytest.mark.parametrize("row", DEVIATIONS, ids=lambda row: row.name)
def test_a_server_beside_the_book_is_understood_or_named(row: Deviation, server):
    assert play_deviation(row, server, lambda: solve_with(row, server)).complaint == ""
