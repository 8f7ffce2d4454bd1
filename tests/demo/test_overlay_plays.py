"""The video with the objects drawn on it, in a real browser."""

from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest

from sam3_tool import Image, Masklet, Video
from sam3_tool.drawing.overlay_video import write_overlay_video
from sam3_tool.video.writing import write_mp4

TIMES = [0.0, 0.2, 0.25, 0.6, 1.5]
LOOK = """async (times) => {
  const video = document.querySelector('video'), canvas = document.createElement('canvas'), seen = [];
  if (video.readyState < 2) await new Promise((done) => video.addEventListener('loadeddata', done, { once: true }));
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  for (const time of times) {
    const sought = new Promise((done) => video.addEventListener('seeked', done, { once: true }));
    video.currentTime = time;
    await sought;
    const pen = canvas.getContext('2d');
    pen.drawImage(video, 0, 0);
    seen.push([...pen.getImageData(video.videoWidth - 9, 8, 1, 1).data].slice(0, 3));
  }
  return { size: [video.videoWidth, video.videoHeight], length: video.duration, seen };
}"""


@pytest.fixture
def look(visit_plain, tmp_path: Path):
    """What a browser shows of a file: size, length in seconds, and the colour of a pixel at these times."""

    def look(path: Path, times: list[float]):
        page_path = tmp_path / "page.html"
        # a canvas may be read where the file's bytes are in the page
        url = "data:video/mp4;base64," + b64encode(path.read_bytes()).decode()
        page_path.write_text(f'<video muted src="{url}"></video>')
        return visit_plain(page_path.as_uri()).evaluate(LOOK, times)

    return look


def test_a_browser_shows_every_frame_at_its_time(look, tmp_path: Path) -> None:
    greys = [30, 80, 130, 180, 230]
    write_mp4(tmp_path / "x.mp4", [np.full((75, 101, 3), grey, np.uint8) for grey in greys], TIMES)
    seen = look(tmp_path / "x.mp4", [0.1, 0.22, 0.4, 1.4, 1.55])
    assert seen["size"] == [102, 76]
    assert seen["length"] == pytest.approx(1.5 + 0.2750, abs=0.01)
    assert np.array(seen["seen"]) == pytest.approx(np.repeat(greys, 3).reshape(5, 3), abs=6)


def test_a_browser_plays_the_clip_with_its_objects(look, tmp_path: Path) -> None:
    video = Video.from_images([Image(np.full((120, 160, 3), 128, np.uint8))] * 8, frame_rate=8)
    masks = np.zeros((8, 120, 160), bool)
    masks[4:, 20:100, 30:130] = True
    write_overlay_video(tmp_path / "x.mp4", video, [Masklet.from_masks(masks)])
    seen = look(tmp_path / "x.mp4", [0.3])
    assert (seen["size"], round(seen["length"], 2)) == ([160, 120], 1.0)
