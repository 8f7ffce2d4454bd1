"""A tool: the mean colour of masks."""

from typing import ClassVar

from pydantic import Field

from agent import Episode, Examiner, Observation, Tool, ToolError
from sam3_tool import Sam3


class MeasureColor(Tool):
    """Measure the mean colour of masks, as #rrggbb."""

    name: ClassVar[str] = "measure_color"
    guidance: ClassVar[str] = (
        "Call `measure_color` when the query names a colour and you are not sure which mask has it."
    )

    ids: list[int] = Field(description="Ids of masks.")

    def run(self, episode: Episode, sam3: Sam3, planner: Examiner) -> Observation:
        unknown = [mask_id for mask_id in self.ids if mask_id not in episode.workspace]
        if unknown:
            raise ToolError(f"There is no mask {unknown[0]}; there are {len(episode.workspace)} masks.")
        masks = episode.workspace.get_instances(self.ids).masks
        colors = [episode.task.image.pixels[mask].mean(axis=0).round().astype(int) for mask in masks]
        lines = [f"{mask_id}: #{r:02x}{g:02x}{b:02x}" for mask_id, (r, g, b) in zip(self.ids, colors, strict=True)]
        return Observation("\n".join(lines), shown=tuple(self.ids))
