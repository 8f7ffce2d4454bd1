"""Names of written files are harmless everywhere, and names on a terminal steer nothing."""

import pytest

from sam3_tool.system.file_names import escape_unprintable, sanitize_file_name

NAMES = [
    *("..", "...", "../..", "...png", "/", "\\", "", " ", ". .", "~", "a/", "C:\\x\\a.png", "..\\..\\a.png", "\0"),
    *("con.png", "NUL", "aux .txt", "Com1.tar.gz", "lpt9", "com\u00b2.png", "conout$", "prn."),
    *("two\nlines.png", "\x1b[31mred.png", "\u202egnp.exe", "\udcff.png", "a:b?.png", "tab\t.png", "\u2028.png"),
    *("x" * 300 + ".png", "\u732b" * 100 + ".png", "a." + "b" * 300, "." * 300, "-rf"),
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_becomes_one_that_every_file_system_takes(name, tmp_path):
    harmless = sanitize_file_name(name)
    assert harmless.strip(" .")
    assert harmless.isprintable()
    assert not set('<>:"|?*\\/') & set(harmless)
    assert len(harmless.encode()) <= 221
    assert harmless.split(".")[0].strip().upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT9", "COM\u00b2"}
    (tmp_path / harmless).write_bytes(b"x")
    assert [path.name for path in tmp_path.iterdir()] == [harmless]


@pytest.mark.parametrize(
    "name", ["scene.png", "Kaffee & Kuchen (2).JPG", "\u732b.png", "a.b.c", "console.png", "comma1.png", "_x.png"]
)
def test_a_harmless_name_stays_as_it_is(name):
    assert sanitize_file_name(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_a_name_on_a_terminal_is_one_line_that_can_be_encoded(name):
    shown = escape_unprintable(name)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    shown.encode()


@pytest.mark.parametrize(
    "text",
    ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f468\u200d\U0001f373", "a\u00a0b\u3000c", "caf\u00e9"],
)
def test_letters_that_are_joined_and_wide_spaces_stay(text):
    assert escape_unprintable(text) == text
