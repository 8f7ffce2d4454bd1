"""What servers send beside the book, row by row: see `tests.support.deviations`."""

import pytest

from tests.support.deviations import Deviation, list_deviations
from tests.support.play_deviation import play_deviation, solve_with


@pytest.mark.parametrize("row", [*list_deviations()], ids=lambda row: row.name)
def test_a_server_beside_the_book_is_understood_or_named(row: Deviation, server):
    assert play_deviation(row, server, lambda: solve_with(row, server)).complaint == ""
