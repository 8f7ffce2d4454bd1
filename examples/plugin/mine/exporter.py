"""An exporter: one line of CSV for each mask."""

from agent.exports import ExportAnswer, Exporter


def encode(answer: ExportAnswer) -> bytes:
    rows = [",".join([candidate.phrase, *(f"{edge:.1f}" for edge in candidate.box)]) for candidate in answer.candidates]
    return "\n".join(["phrase,x0,y0,x1,y1", *rows, ""]).encode()


BOXES = Exporter(".boxes.csv", "CSV, one box per mask", encode)
