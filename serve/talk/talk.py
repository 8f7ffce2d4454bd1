"""What routes need for everything that takes several steps: planners, episodes, conversations and jobs of a server."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

from fastapi import Request

from agent.core.budget import Budget
from agent.core.episode import Episode, Task
from agent.core.errors import UsageError
from agent.doubt.policy import DoubtPolicy, apply_doubt
from agent.loop import watch
from agent.report.result import Result
from sam3_tool import Image
from serve.http.errors import ApiError
from serve.http.images import read_image
from serve.http.middleware.admission import Admission
from serve.http.middleware.auth import Tenant
from serve.http.routes.segment import answer_segment, build_prompts
from serve.http.schemas import SegmentRequest
from serve.http.services import Services
from serve.talk.conversations import ConversationStore, lock_folder
from serve.talk.idempotency import IdempotencyStore
from serve.talk.job_runner import JobRunner
from serve.talk.jobs import Job, JobStore
from serve.talk.planners import PlannerBook
from serve.talk.schemas import EpisodeRequest, PlannedRequest
from serve.talk.steps import LOOK_SECONDS, Begin, Run, StepRunner, take_last
from serve.talk.streams import STREAMED, MediaType

log = logging.getLogger(__name__)


class Talk:
    """Everything of one server that lasts longer than a single answer of SAM 3; `get_talk` gives it to a route."""

    def __init__(self, services: Services, planners: PlannerBook) -> None:
        """Make what the settings ask for.

        Args:
            services: What all routes share.
            planners: Those that requests may choose.

        Raises:
            UsageError: The file of jobs or the folder of conversations cannot be used.
        """
        self.services, self.planners, self.settings = services, planners, services.settings.talk
        settings = self.settings
        tenants = services.settings.tokens.tenants
        gate = Admission(inflight=settings.episodes, waiting=settings.waiting_episodes, tenants=len(tenants))
        self.pool = ThreadPoolExecutor(settings.episodes + settings.job_workers, "steps")
        self.runner = StepRunner(planners, gate, self.pool, services.settings.deadline)
        self.idempotency = IdempotencyStore()
        self.conversations = ConversationStore(settings)
        folder = settings.conversation_folder
        self._folder_lock = None if folder is None else lock_folder(folder)
        self.jobs = JobRunner(JobStore(settings), self._answer_job_image, services.fetcher, settings.job_workers)
        self._tenants = {tenant.name: tenant for tenant in tenants}
        for name, text, read in (
            ("sam3_episodes", "Episodes that are under way.", lambda: gate.inside),
            ("sam3_episodes_waiting", "Episodes that wait for their turn.", lambda: gate.waiting),
            ("sam3_conversations", "Conversations that are kept.", lambda: len(self.conversations)),
            ("sam3_jobs_running", "Jobs that are worked at.", lambda: self.jobs.running),
        ):
            services.metrics.watch_number(name, text, read)

    async def start(self) -> None:
        """Take up what an earlier server has left, and begin to work at jobs."""
        folder = self.settings.conversation_folder
        if folder is not None:
            taken = await asyncio.to_thread(self.conversations.load_all, folder)
            log.info("%d conversations go on", taken)
        await self.jobs.start()

    async def stop(self) -> None:
        """End what is under way, and keep what can be kept."""
        await self.jobs.stop()
        folder = self.settings.conversation_folder
        if folder is not None:
            await asyncio.to_thread(self.conversations.save_all, folder)
        if self._folder_lock is not None:
            Path(self._folder_lock.lock_file).unlink(missing_ok=True)
            self._folder_lock.release()
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def drop_expired(self) -> None:
        """Forget what nobody has used for too long."""
        self.conversations.drop_expired()
        await self.jobs.call(self.jobs.store.drop_expired)

    def begin_episode(self, task: Task, asked: PlannedRequest) -> Begin:
        """Return what begins the episode of a task. Raises ApiError for a planner or a budget that is not allowed."""
        budget = self.check_planned(asked)
        return lambda planner, sam3: watch(task, planner, sam3, budget=budget)

    def check_planned(self, asked: PlannedRequest) -> Budget:
        """Return the budget of a request. Raises ApiError for a planner or a budget that is not allowed."""
        self.planners.check_name(asked.planner)
        policy = build_doubt_policy(asked)
        sam3 = self.services.sam3.get() if policy.is_active else None
        if sam3 is not None and sam3.probability_estimator is None:
            message = f"min_probability and ask_when_unsure need mask probabilities, and SAM 3 {sam3.name!r} is not"
            raise ApiError(422, "not_calibrated", f"{message} calibrated; leave them out")
        try:
            return asked.budget.limit_budget(self.settings.budget)
        except ValueError as error:
            raise ApiError(422, "budget_too_large", str(error)) from error

    async def open_task(self, tenant: Tenant, asked: EpisodeRequest) -> Task:
        """Return what an episode is asked, of an image or a video that is kept.

        Raises:
            ApiError: Nothing of this key is kept, or no frame of the video is shown then.
        """
        if asked.video is None:
            return Task(self.services.get_image(tenant, asked.image or ""), asked.query)
        return await self.open_video_task(tenant, asked.video, asked.query, since=asked.since, until=asked.until)

    async def open_video_task(
        self, tenant: Tenant, key: str, query: str, *, since: float | None = None, until: float | None = None
    ) -> Task:
        """Return what is asked of a video that is kept, from one second to another. Raises ApiError as `open_task`."""
        video = await self.services.open_video(tenant, key)
        build = partial(Task.from_video, video, query, since=since, until=until)
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, build)
        except ValueError as error:
            raise ApiError(422, "invalid", f"with `since` and `until` as given, {error}") from error

    def build_run(
        self, begin: Begin, request: Request, tenant: Tenant, asked: PlannedRequest, kind: MediaType, *, is_video: bool
    ) -> Run:
        """Return a run for somebody who waits. Raises ApiError while SAM 3 is being loaded."""
        cancel = Event()
        sam3 = self.services.sam3.get().for_caller(f"{tenant.name}/{request.state.request_id}", cancel=cancel)
        interval = self.settings.keep_alive_seconds if kind in STREAMED else LOOK_SECONDS
        return Run(begin, sam3, cancel, asked.planner, is_video, interval)

    def finish_episode(self, asked: PlannedRequest, clock: Callable[[], float]) -> Callable[[Episode], Result]:
        """Return what makes the answer of a finished episode.

        Args:
            asked: Which planner was asked for, and what becomes of doubtful masks.
            clock: Returns the seconds since the request came.
        """
        policy = build_doubt_policy(asked)
        return lambda episode: Result.from_episode(
            apply_doubt(self.count_usage(episode), policy),
            seconds=clock(),
            warnings=self.list_warnings(episode, asked.planner),
        )

    def list_warnings(self, episode: Episode, planner: str | None) -> list[str]:
        """Return what one must know of an episode: of its planner, and of phrases that SAM 3 does not know."""
        sam3 = self.services.sam3.get()
        unknown = [sam3.vocabulary_warning(search.phrase) for search in episode.searches if search.phrase]
        is_video = episode.task.timeline is not None
        return [*self.planners.get_warnings(planner, is_video=is_video), *dict.fromkeys(filter(None, unknown))]

    def count_usage(self, episode: Episode) -> Episode:
        """Let the metrics know what an episode has cost, and return it."""
        self.services.metrics.observe_usage(episode.usage, self.settings.budget.price.compute_cost(episode.usage))
        return episode

    # jobs

    async def _answer_job_image(self, job: Job, place: int) -> str:
        """Answer one image or video of a job, as JSON. Raises what is to be its error."""
        tenant = self._tenants.get(job.tenant, Tenant(job.tenant))
        asked, cancel = job.request, Event()
        sam3 = self.services.sam3.get().for_caller(f"{job.tenant}/{job.id}", is_batch=True, cancel=cancel)
        loop = asyncio.get_running_loop()
        if asked.query is None:
            image = await self._get_job_image(job, place, tenant)
            searched = SegmentRequest(image=image.key, phrases=asked.phrases, threshold=asked.threshold)
            search = partial(answer_segment, sam3, image, build_prompts(searched, image, None), searched)
            return (await loop.run_in_executor(self.pool, search)).decode()
        began = loop.time()
        task = await self._open_job_task(job, place, tenant, asked.query)
        run = Run(self.begin_episode(task, asked), sam3, cancel, asked.planner, bool(asked.videos))
        episode = await take_last(self.runner.take_steps(run))
        result = self.finish_episode(asked, lambda: loop.time() - began)(episode)
        return result.model_dump_json()

    async def _open_job_task(self, job: Job, place: int, tenant: Tenant, query: str) -> Task:
        if not job.request.videos:
            return Task(await self._get_job_image(job, place, tenant), query)
        named = job.request.videos[place]
        if isinstance(named, str):
            return await self.open_video_task(tenant, named, query)
        content = await self.services.fetch_image(named.url)
        put = partial(self.services.videos.put, tenant, content)
        key, _ = await asyncio.get_running_loop().run_in_executor(self.pool, put)
        return await self.open_video_task(tenant, key, query)

    async def _get_job_image(self, job: Job, place: int, tenant: Tenant) -> Image:
        named = job.request.images[place]
        if isinstance(named, str):
            return self.services.get_image(tenant, named)
        content = await self.services.fetch_image(named.url)
        read = partial(read_image, content, tenant, max_pixels=self.services.settings.max_pixels)
        return await asyncio.get_running_loop().run_in_executor(self.pool, read)


def build_doubt_policy(asked: PlannedRequest) -> DoubtPolicy:
    """Return what becomes of doubtful masks. Raises ApiError where nothing would be asked about."""
    try:
        return DoubtPolicy(asked.min_probability, asked.ask_when_unsure)
    except UsageError as error:
        raise ApiError(422, "invalid", str(error)) from error


async def get_talk(request: Request) -> Talk:
    """Return what routes of several steps share. A dependency of routes."""
    talk: Talk = request.app.state.talk
    return talk
