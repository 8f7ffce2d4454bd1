"""Requests as clients of Meta's SAM API send them: OpenAI's Responses API with one text and one image or video."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sam3_tool.errors import UserError

AGENT = "sam3-agent"
"""The model that takes whole sentences; every other name means the SAM 3 that is loaded, which takes noun phrases."""
MAX_LETTERS = 2000
"""Of the text."""


class ResponseRequestError(UserError):
    """A request has the right types, but not one text and one image or video."""


def _take_url(value: object) -> object:
    """Accept `{"url": …}` too, as chat completions have it."""
    return value.get("url") if isinstance(value, dict) else value


Url = Annotated[str, BeforeValidator(_take_url)]


class TextPart(BaseModel):
    """A noun phrase, or boxes and points of objects; for the agent, a sentence."""

    type: Literal["input_text", "text"]
    text: str = Field(max_length=100_000)


class ImagePart(BaseModel):
    """An image as a data URL, or at an address that the server may read."""

    type: Literal["input_image", "image_url"]
    image_url: Url

    @property
    def url(self) -> str:
        """Where it is."""
        return self.image_url


class VideoPart(BaseModel):
    """A video as a data URL, or at an address that the server may read."""

    type: Literal["input_video"]
    video_url: Url

    @property
    def url(self) -> str:
        """Where it is."""
        return self.video_url


class ConceptPart(BaseModel):
    """The file of a concept, which is an extension: examples that `sam3-agent describe` wrote, in place of a phrase."""

    type: Literal["input_file"]
    file_data: Url
    filename: str = Field("", max_length=1000)


Part = Annotated[TextPart | ImagePart | VideoPart | ConceptPart, Field(discriminator="type")]


class Message(BaseModel):
    """What a user says; messages of a system or an assistant are not taken."""

    type: Literal["message"] = "message"
    role: Literal["user"]
    content: str | list[Part]


class Metadata(BaseModel):
    """How the answer is written. Other keys are kept and given back."""

    model_config = ConfigDict(extra="allow")

    mask_encoding: Literal["lossless", "one_bit"] = "lossless"
    include_confidence: Literal["true", "false"] = "false"
    propagation_direction: Literal["both", "forward", "backward"] = "both"


class ResponseRequest(BaseModel):
    """The body of `POST /v1/responses`. Options of language models, as the temperature, have no meaning here."""

    model: str = Field(max_length=200)
    input: list[Message] = Field(min_length=1, max_length=20)
    metadata: Metadata = Metadata()
    stream: bool = False
    tools: list[Any] = Field([], max_length=0)
    previous_response_id: None = None
    background: Literal[False] | None = None

    @property
    def is_for_agent(self) -> bool:
        """Whether the text is a query for the agent."""
        return self.model == AGENT

    def read_text(self) -> str:
        """Return the one text; beside a concept, which needs none, it may be "".

        Raises ResponseRequestError if there is none, or more than one.
        """
        texts = [part.text.strip() for part in self._list_parts() if isinstance(part, TextPart)]
        if not texts and self._list_concepts():
            return ""
        if len(texts) != 1 or not texts[0]:
            raise ResponseRequestError(f"expected is one `input_text` with words in it, found are {len(texts)} texts")
        return texts[0]

    def read_media(self) -> ImagePart | VideoPart:
        """Return the one image or video.

        Raises ResponseRequestError if there is none, or more than one.
        """
        media = [part for part in self._list_parts() if isinstance(part, ImagePart | VideoPart)]
        if len(media) != 1:
            raise ResponseRequestError(f"expected is one `input_image` or `input_video`, found are {len(media)}")
        return media[0]

    def read_concept(self) -> bytes | None:
        """Return the content of the file of a concept, if there is one.

        Raises ResponseRequestError if there are several, if it is no data URL, or if the agent is asked.
        """
        files = self._list_concepts()
        if not files:
            return None
        if len(files) > 1 or self.is_for_agent:
            raise ResponseRequestError(
                f"found are {len(files)} `input_file` for {self.model!r:.60}; expected is one, and a model for phrases"
            )
        return decode_data_url(files[0].file_data)

    def _list_concepts(self) -> list[ConceptPart]:
        return [part for part in self._list_parts() if isinstance(part, ConceptPart)]

    def _list_parts(self) -> list[Part]:
        parts: list[Part] = []
        for message in self.input:
            text = message.content
            parts += [TextPart(type="input_text", text=text)] if isinstance(text, str) else text
        return parts


def is_data_url(url: str) -> bool:
    """Tell whether a URL holds its content.

    >>> is_data_url("data:image/png;base64,iVBORw0KGgo="), is_data_url("https://example.org/a.png")
    (True, False)
    """
    return url[:5].lower() == "data:"


def decode_data_url(url: str) -> bytes:
    """Return the content of a data URL. What it says about its type is not trusted, and not read.

    Raises:
        ResponseRequestError: It is not written in base 64.

    >>> decode_data_url("data:image/png;base64,aGVs bG8")
    b'hello'
    """
    head, comma, content = url.partition(",")
    try:
        if not comma or not head.lower().endswith(";base64"):
            raise ValueError
        letters = "".join(content.split())
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ResponseRequestError(
            "the data URL cannot be read; expected is data:TYPE;base64, and then the file in base 64"
        ) from None
