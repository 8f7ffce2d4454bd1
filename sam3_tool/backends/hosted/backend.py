"""A backend whose SAM 3 is behind a server: one request for each question, several at a time."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any, TypeVar
from weakref import WeakSet

import numpy as np

from sam3_tool.backends.base import CrossImageEmbedding
from sam3_tool.backends.hosted.answers import HostedAnswerError
from sam3_tool.backends.hosted.client import HostedClient
from sam3_tool.backends.hosted.questions import ShownObject, build_body, show_object, write_objects, write_phrase
from sam3_tool.backends.hosted.records import parse_objects
from sam3_tool.backends.hosted.results import FoundMask, build_instances, combine_examples, to_own_size
from sam3_tool.backends.hosted.sent_images import SentImage, prepare_image
from sam3_tool.costs import CallCost
from sam3_tool.errors import CheckpointError, RequestCancelledError
from sam3_tool.image import Image
from sam3_tool.instances import Instances
from sam3_tool.masks.rle import encode_mask
from sam3_tool.prompts import ConceptPrompt, PointsPrompt, VisualPrompt
from sam3_tool.system.waiting import StoppedError, map_in_threads

MOST_KEPT_ANSWERS = 64
FORMAT = "1"
"""Goes up whenever the same answer of a server is read otherwise, or other bytes are sent."""
AnyPrompt = TypeVar("AnyPrompt", ConceptPrompt, VisualPrompt)


@dataclass(frozen=True, eq=False)
class _Answer:
    objects: dict[int, FoundMask]
    cost: CallCost


class HostedBackend:
    """SAM 3 behind a server that speaks Meta's SAM API. Threads may share it.

    Args:
        client: Of the server.
    """

    def __init__(self, client: HostedClient) -> None:
        self._client = client
        self._lock = Lock()  # of what is kept
        self._kept: OrderedDict[tuple[str, str], _Answer] = OrderedDict()
        """Answers that were paid for in a batch that failed: it is asked again, part by part."""
        self._running: WeakSet[Event] = WeakSet()
        """What ends each call that is under way."""

    @property
    def name(self) -> str:
        """E.g. 'hosted:sam-3.1'."""
        return f"hosted:{self._client.settings.model}"

    @property
    def runs_on(self) -> str:
        """The server's address."""
        return self._client.endpoint.address

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that an answer depends on here: address, model, and what is sent.

        Nobody can hash the weights of a server, which may change them under the same name.
        """
        settings = self._client.settings
        parts = (FORMAT, self.runs_on, settings.model, str(settings.image_side), settings.mask_encoding)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def encode(self, images: Sequence[Image]) -> list[SentImage]:
        """Make images ready to be sent; nothing is."""
        return [prepare_image(image, side=self._client.settings.image_side) for image in images]

    def decode(self, embeddings: Sequence[Any], prompts: Sequence[ConceptPrompt]) -> list[Instances]:
        """Ask for each phrase in a request of its own. With example boxes, a second request asks what is in them."""
        return self._ask_all(embeddings, prompts, self._find_concept)

    def refine(self, embeddings: Sequence[Any], prompts: Sequence[VisualPrompt]) -> list[Instances]:
        """Ask for each object in a request of its own. The protocol gives one mask, whatever `multimask` says."""
        return self._ask_all(embeddings, prompts, self._find_object)

    def segment_points(self, embedding: SentImage, prompt: PointsPrompt) -> Instances:
        """Refuse: a grid of 1024 points would be 1024 requests."""
        raise CheckpointError(
            f"{self.name!r} cannot segment everything: each of 1024 points would be a request of its own; ask for a"
            " phrase, or take weights that run here"
        )

    def interrupt(self) -> None:
        """End what is under way: nobody reads its answers any more."""
        with self._lock:
            running = list(self._running)
        for stopped in running:
            stopped.set()

    def vocabulary_warning(self, phrase: str) -> str:
        """A hosted SAM 3 takes any phrase."""
        return ""

    def _ask_all(
        self,
        embeddings: Sequence[Any],
        prompts: Sequence[AnyPrompt],
        ask: Callable[[Any, AnyPrompt, Event], Instances],
    ) -> list[Instances]:
        """Ask all at once, as far as the slots go. After an error nothing new begins, and what has begun is kept."""
        stopped, failed = Event(), Event()
        with self._lock:
            self._running.add(stopped)

        def ask_one(question: tuple[Any, AnyPrompt]) -> Instances | Exception | None:
            if failed.is_set():
                return None
            try:
                return ask(*question, stopped)
            except (CheckpointError, ValueError) as error:
                failed.set()
                return error

        questions = list(zip(embeddings, prompts, strict=True))
        try:
            found = map_in_threads(ask_one, questions, threads=self._client.settings.workers, stopped=stopped)
        except StoppedError:
            raise RequestCancelledError("the question was given up before its answer came") from None
        for error in found:
            if isinstance(error, Exception):
                raise error
        with self._lock:
            self._kept.clear()
            self._running.discard(stopped)
        return [instances for instances in found if isinstance(instances, Instances)]

    def _find_concept(self, embedding: Any, prompt: ConceptPrompt, stopped: Event) -> Instances:
        if isinstance(embedding, CrossImageEmbedding) or prompt.concept is not None:
            raise CheckpointError(
                f"{self.name!r} takes no examples from another image and no concepts; ask for a phrase"
            )
        if not (prompt.phrase or "").strip():
            raise CheckpointError(
                f"{self.name!r} does not look for more of what boxes show; add a phrase, or ask for one object by its"
                " box with `refine`"
            )
        answer = self._ask(embedding, write_phrase(prompt.phrase or ""), stopped)
        found, cost = [mask for mask in answer.objects.values() if mask.score > prompt.threshold], answer.cost
        if prompt.boxes:
            text = write_objects([ShownObject(box) for box in prompt.boxes], embedding)
            shown = self._ask(embedding, text, stopped)
            labelled = [(label, shown.objects.get(id)) for id, label in enumerate(prompt.box_labels)]
            like, unlike = ([mask for label, mask in labelled if mask and label == wanted] for wanted in (1, 0))
            found, cost = combine_examples(found, like, unlike), cost + shown.cost
        return build_instances([mask for mask in found if mask.area], embedding, phrase=prompt.phrase or "", cost=cost)

    def _find_object(self, embedding: SentImage, prompt: VisualPrompt, stopped: Event) -> Instances:
        answer = self._ask(embedding, write_objects([show_object(prompt)], embedding), stopped)
        nothing = np.zeros((embedding.own_height, embedding.own_width), bool)
        found = answer.objects.get(0, FoundMask(encode_mask(nothing), (0.0, 0.0, 0.0, 0.0), 0.0, 0))
        return build_instances([found], embedding, phrase="", cost=answer.cost)

    def _ask(self, sent: SentImage, text: str, stopped: Event) -> _Answer:
        question = (sent.key, text)
        with self._lock:
            if kept := self._kept.pop(question, None):
                return kept
        client = self._client
        said, cost = client.ask(build_body(client.settings, text, sent), stopped)
        try:
            objects = parse_objects(said.text, sent.height, sent.width)
        except HostedAnswerError as error:
            raise CheckpointError(client.describe_answer_fault(error)) from None
        answer = _Answer({found.id: to_own_size(found, sent) for found in objects}, cost)
        with self._lock:
            self._kept[question] = answer
            while len(self._kept) > MOST_KEPT_ANSWERS:
                self._kept.popitem(last=False)
        return answer
