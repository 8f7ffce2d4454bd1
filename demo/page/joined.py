"""An edit's reply tells the talk and the film strip what changed for them too, so that they need not ask themselves."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from demo.actions import Actions
from demo.album.telling import StripMemory
from demo.requests import InvalidEventError, Look, PageEvent, SessionId, parse_data
from demo.studio.editing import answer_request
from demo.talk.following import Follower


class PartLooks(PageEvent):
    """What the parts of the page say of themselves; None of one that does not ask."""

    session: SessionId
    talk: Look | None = None
    strip: Annotated[str, Field(max_length=40)] | None = None
    """The token of what the film strip shows."""


@dataclass(frozen=True)
class EditAnswerer:
    """Makes edits, and tells every part of the page what that changed."""

    actions: Actions
    follower: Follower
    strips: StripMemory

    def answer(self, data: Any) -> dict[str, Any]:
        """Make the edits of a request.

        Args:
            data: What the script sent: an `EditBatch`, and `PartLooks` beside it.

        Returns:
            What `answer_request` says, with `parts`: what changed in the talk and in the film strip, for those that
            ask; or `error` alone, a sentence.
        """
        reply = answer_request(self.actions, data)
        if "error" in reply:
            return reply
        try:
            looks = parse_data(PartLooks, data)
            session = self.actions.sessions[looks.session]
        except (InvalidEventError, LookupError) as error:
            return {"error": str(error)}
        parts: dict[str, Any] = {}
        if looks.talk is not None:
            parts["talk"] = self.follower.describe_news(looks.talk, session)
        if looks.strip is not None:
            parts["strip"] = self.strips.describe_change(session, looks.session, looks.strip)
        return {**reply, "parts": parts}
