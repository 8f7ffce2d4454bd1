"""What a user imports: complete, typed and documented."""

from importlib.resources import files

import sam3_tool


def test_every_exported_name_can_be_imported():
    assert [name for name in sam3_tool.__all__ if not hasattr(sam3_tool, name)] == []


def test_the_package_says_that_it_is_typed():
    assert (files("sam3_tool") / "py.typed").is_file()
