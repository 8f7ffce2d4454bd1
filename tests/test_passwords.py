"""No command shows or writes the password of an address, wherever the address stands and however it is mistaken."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.cli.main import app
from sam3_tool import Sam3
from sam3_tool.errors import UserError, mask_passwords

SECRET = "hunter2-or-so"
EXAMPLE = Path(__file__).parent.parent / "examples" / "scene.png"
GOOD = f"https://me:{SECRET}@images.example.org/cat.png"
SLASHED = f"https://me:{SECRET}/{SECRET}@images.example.org/cat.png"
SIGNED = f"https://images.example.org/cat.png?size=2&X-Amz-Credential={SECRET}/us&X-Amz-Signature={SECRET}"
BARE = f"me:{SECRET}@images.example.org"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ftp://me@example.org/a", "ftp://***@example.org/a"),
        ("see 'https://a:b@c.org/d?e=f@g' and h@i.org", "see 'https://***@c.org/d?e=f@g' and h@i.org"),
        ("https:/me:pw@example.org/a.png: no such file", "https:/***@example.org/a.png: no such file"),
        ("https://me:p/w@d#x@example.org/a", "https://***@example.org/a"),
        ("http://[::1]:8000/v1/@me/a", "http://[::1]:8000/v1/@me/a"),
        ("https://example.org:8443/photos/@me/1.jpg", "https://example.org:8443/photos/@me/1.jpg"),
        ("two: s3://k:s@b/1 s3://k:s@b/2", "two: s3://***@b/1 s3://***@b/2"),
        ("me@example.org asks for step:2@once", "me@example.org asks for step:2@once"),
        ("https://a.org/b.png?sig=x%2Fy%3D&sp=r", "https://a.org/b.png?sig=***&sp=r"),
        (
            "https://a.org/?sig=a:b.c: it is (https://a.org/?sig=d), so.",
            "https://a.org/?sig=***: it is (https://a.org/?sig=***), so.",
        ),
        ("'https://a.org/?a=1;ACCESS_TOKEN=x' is late", "'https://a.org/?a=1;ACCESS_TOKEN=***' is late"),
        ("https://a.org/#id_token=x&state=1", "https://a.org/#id_token=***&state=1"),
        ("https:/a.org/b.png?AWSAccessKeyId=x&Signature=y", "https:/a.org/b.png?AWSAccessKeyId=***&Signature=***"),
        ("https://a.org/?design=1&key=cat&signs=2&token=", "https://a.org/?design=1&key=cat&signs=2&token="),
        ("is ?token=x one of c:\\d", "is ?token=x one of c:\\d"),
        (
            '{"url": "https://example.org/a", "by": "me@example.org"}',
            '{"url": "https://example.org/a", "by": "me@example.org"}',
        ),
    ],
)
def test_an_address_is_shown_without_a_name_and_a_password(text: str, shown: str) -> None:
    assert mask_passwords(text) == shown
    assert str(UserError(text)) == shown


@pytest.mark.parametrize(
    "words",
    [
        ("segment", GOOD, "cats"),
        ("segment", SLASHED, "cats"),
        ("segment", SIGNED, "cats"),
        ("segment", GOOD.replace("https", "http"), "cats"),
        ("segment", GOOD.replace("images.", "["), "cats"),
        ("segment", "named.txt", "cats", "--allow-url", "other.example.org"),
        ("segment", "scene.png", "cats", "--sam3", GOOD),
        ("segment", "scene.png", "cats", "--planner", GOOD),
        ("segment", "scene.png", "cats", "--planner", f"replay:{GOOD}"),
        ("segment", "scene.png", "cats", "--concept", GOOD),
        ("segment", "scene.png", "cats", "--out", GOOD),
        ("describe", GOOD, "--box", "1,1,9,9", "--out", "new.concept"),
        ("describe", "scene.png", "--mask", GOOD, "--out", "new.concept"),
        ("describe", SIGNED, "--box", "1,1,9,9", "--out", "new.concept"),
        ("annotate", GOOD, "--phrases", "cat"),
        ("annotate", SIGNED, "--phrases", "cat"),
        ("annotate", "signed.txt", "--phrases", "cat"),
        ("annotate", "named.txt", "--phrases", "cat"),
        ("serve", "--allow-url", GOOD),
        ("serve", "--allow-url", BARE),
        ("mcp", "--allow-url", GOOD),
        ("mcp", "--root", GOOD),
        ("demo", "--planner", f"x y=@{GOOD}"),
    ],
)
def test_no_command_repeats_or_writes_a_password(
    words: tuple[str, ...], tiny: Sam3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scene.png").symlink_to(EXAMPLE)
    (tmp_path / "named.txt").write_text(f"{GOOD}\n{SLASHED}\n{SIGNED}\n", encoding="utf-8")
    (tmp_path / "signed.txt").write_text(SIGNED, encoding="utf-8")
    done = CliRunner().invoke(app, words)
    assert done.exit_code in (1, 2)
    assert done.output.startswith(("error: ", "Usage: "))
    assert SECRET not in done.output
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".txt"]
    assert [path for path in files if SECRET.encode() in str(path).encode() + path.read_bytes()] == []


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("OPENAI_BASE_URL", ("segment", "scene.png", "cats", "--planner", "openai:model")),
        ("SAM_BASE_URL", ("segment", "scene.png", "cats", "--sam3", "hosted:sam-3.1")),
        ("LABEL_STUDIO_URL", ("serve",)),
    ],
)
@pytest.mark.parametrize("address", [BARE, f"ftp://{BARE}", f"https:/{BARE}", f"https://{BARE}:x/"])
def test_an_address_of_the_environment_is_not_repeated_with_its_password(
    variable: str, words: tuple[str, ...], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(EXAMPLE.parent)
    monkeypatch.setenv(variable, address)
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert SECRET not in done.output
