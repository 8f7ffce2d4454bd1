"""What a person points at: files, folders, patterns, lists, standard input."""

from pathlib import Path

import PIL.Image
import pytest

from agent import GrammarPlanner, UsageError, segment_source
from agent.sources.expanding import SourceItem, choose_folders, expand_sources
from sam3_tool import ImageError, Sam3, ScriptedBackend, Video


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a folder of images in which other files lie, and a folder in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/b10.png", "photos/B9.PNG", "photos/more/b9.png", "photos/[1].png", "photos/.hidden.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (8, 6)).save(name)
    Path("photos/Thumbs.db").touch()
    Path("photos/list.txt").write_text("# mine\nB9.PNG\n\n photos/b10.png \nhttps://example.org/c.png\n", "utf-8")
    Path("notes").mkdir()
    Path("notes/a.md").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("sources", "each", "names"),
    [
        (["photos"], True, ["photos/[1].png", "photos/B9.PNG", "photos/b10.png"]),
        (["photos/b*"], False, ["photos/b10.png"]),
        (["photos/**/b*.png"], False, ["photos/b10.png", "photos/more/b9.png"]),
        (["photos/[1].png"], False, ["photos/[1].png"]),  # a file of that name comes before what it matches
        (["photos/list.txt"], False, ["B9.PNG", "photos/b10.png", "https://example.org/c.png"]),
        (["photos/b10.png", "photos/B*"], False, ["photos/b10.png", "photos/B9.PNG"]),
        (["photos"], False, ["photos"]),
    ],
)
def test_each_kind_of_source_names_its_images_in_natural_order(here, sources, each, names):
    assert [item.source for item in expand_sources(sources, each=each).items] == names


def test_a_line_of_a_list_counts_from_the_current_folder_and_else_from_the_list(here):
    first, second, third = expand_sources(["photos/list.txt"]).items
    assert (first.held, second.held, third.name) == (Path("photos/B9.PNG"), Path("photos/b10.png"), "c.png")


def test_only_what_was_named_alone_is_single(here):
    assert expand_sources(["photos/b10.png"]).is_single
    assert not expand_sources(["photos/b10.p*"]).is_single
    assert not expand_sources(["photos/b10.png"], each=True).is_single


def test_what_is_left_out_of_a_folder_is_said(here):
    assert expand_sources(["photos"], each=True).notes == (
        "photos: left out, as not named like images: list.txt, Thumbs.db.",
    )


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (["photos/*.tif"], "photos/*.tif: no such file"),
        (["notes/*"], "notes/*: no file among 1 is named like an image"),
        (["photos/b10.png", "gone.png"], "gone.png: no such file"),
        (["-"], "standard input cannot be read here"),
    ],
)
def test_a_source_that_matches_nothing_is_refused(here, sources, said):
    with pytest.raises(UsageError, match="^" + said.replace("*", r"\*").replace(".", r"\.")):
        expand_sources(sources)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "standard input is empty"),
        (b" \n", "standard input is empty"),
        (b"# nothing\n", "no line names anything"),
        (b"a.png\n~nobody-here/b.png\n", "standard input, line 2: "),
    ],
)
def test_standard_input_that_names_nothing_is_refused(content, said):
    with pytest.raises(UsageError, match=said):
        expand_sources(["-"], read_stdin=lambda: content)


def test_standard_input_is_an_image_or_a_list(here):
    png = Path("photos/b10.png").read_bytes()
    [item] = expand_sources(["-"], read_stdin=lambda: png).items
    assert (item.held, item.stem) == (png, "stdin")
    listed = expand_sources(["-"], read_stdin=lambda: b"photos/b10.png\r\ngone.png\r\n").items
    assert [item.held for item in listed] == [Path("photos/b10.png"), Path("gone.png")]
    [page] = expand_sources(["-"], read_stdin=lambda: b"<!DOCTYPE html><html>Not found</html>").items
    with pytest.raises(ImageError, match="HTML page"):
        page.open_subject(max_pixels=None, fetch=lambda url: b"")


def test_answers_of_one_stem_get_folders_of_their_own():
    names = ("a/cat.png", "cat.jpg", "CAT.gif", "cat-2.png", "results.jsonl.png", "..", "https://e.org/cat.png?x=1")
    items = [SourceItem(name, name if "://" in name else Path(name)) for name in names]
    folders = choose_folders(items, reserved=["results.jsonl"])
    assert folders == ["cat", "cat-2", "CAT-3", "cat-2-2", "results.jsonl-2", "picture", "cat-4"]
    assert len({folder.casefold() for folder in folders}) == len(names)


def test_every_image_of_a_source_is_answered_though_one_is_broken(here):
    Path("photos/b10.png").write_bytes(b"\x89PNG")
    sam3 = Sam3(ScriptedBackend({}))
    answers = [*segment_source(["photos", b"no image"], "the cups", GrammarPlanner(), sam3)]
    assert [answer.source for answer in answers] == ["photos/[1].png", "photos/B9.PNG", "photos/b10.png", ""]
    assert [answer.episode and answer.episode.outcome for answer in answers] == ["no_match", "no_match", None, None]
    assert [type(answer.error) for answer in answers[2:]] == [ImageError, ImageError]


def test_answers_stream(here):
    """The second image is not even there when the first answer is."""
    answers = segment_source(["photos/b10.png", Path("later.png")], "cups", GrammarPlanner(), Sam3(ScriptedBackend({})))
    assert next(answers).error is None
    PIL.Image.new("RGB", (8, 6)).save("later.png")
    assert next(answers).error is None


def test_no_host_is_asked_unless_it_is_allowed():
    [answer] = segment_source("https://example.org/a.png", "cups", GrammarPlanner(), Sam3(ScriptedBackend({})))
    assert isinstance(answer.error, UsageError)
    assert "example.org" in str(answer.error)


def test_a_folder_can_be_taken_as_a_video(here):
    [item] = expand_sources(["photos/more"]).items
    assert isinstance(item.open_subject(max_pixels=None, fetch=lambda url: b""), Video)
