"""The protocol's side: which tools and resources there are, who calls, and how an error is told."""

import base64
import logging
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    ResourceTemplate,
    TextContent,
)

from agent.core.errors import ToolError
from agent.core.text.sanitizing import to_one_line
from sam3_tool import UserError
from serve.mcp.answers import EXPORT_URI, MASK_URI
from serve.mcp.offers import OFFERS
from serve.mcp.runner import Runner, hide_paths

log = logging.getLogger(__name__)

Request = ServerRequestContext[Any, Any]


@dataclass
class Reporter:
    """Tells the client of a request how far it has come; nothing where it did not ask to be told."""

    request: Request
    count: int = 0

    async def __call__(self, text: str) -> None:
        self.count += 1  # the protocol wants numbers that grow
        await self.request.session.report_progress(self.count, message=text)


def build_server(runner: Runner) -> Server[Any]:
    """Build the server that offers the tools, for any transport.

    Args:
        runner: Runs the calls.
    """

    async def call_tool(request: Request, params: CallToolRequestParams) -> CallToolResult:
        try:
            arguments = params.arguments or {}
            return await runner.run_call(get_caller(request), params.name, arguments, Reporter(request))
        except Exception as error:
            text = explain_error(error, f"the tool {params.name[:40]!r}")
            return CallToolResult(content=[TextContent(text=text)], is_error=True)

    async def read_resource(request: Request, params: ReadResourceRequestParams) -> ReadResourceResult:
        uri = str(params.uri)
        try:
            read = await runner.read_resource(get_caller(request), uri, Reporter(request))
        except Exception as error:
            code = INVALID_PARAMS if isinstance(error, ToolError | UserError) else INTERNAL_ERROR
            raise MCPError(code=code, message=explain_error(error, "the resource")) from error
        blob = base64.b64encode(read.content).decode()
        return ReadResourceResult(contents=[BlobResourceContents(uri=uri, blob=blob, mime_type=read.mime_type)])

    return Server(
        "sam3-agent",
        version=version("sam3-agent"),
        title="sam3-agent",
        # not in `prompts`: what is there is hashed into every saved episode, and no planner reads this
        instructions=files(__package__).joinpath("instructions.md").read_text(encoding="utf-8").strip(),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        get_tool_input_schema=lambda name: None,  # no argument is repeated in a header
    )


async def list_tools(request: Request, params: PaginatedRequestParams | None) -> ListToolsResult:
    """List what an assistant can call."""
    return ListToolsResult(tools=[offer.to_definition() for offer in OFFERS.values()])


async def list_resources(request: Request, params: PaginatedRequestParams | None) -> ListResourcesResult:
    """List nothing: masks are linked in the answers that found them."""
    return ListResourcesResult(resources=[])


async def list_templates(request: Request, params: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
    """List how the links of answers are built."""
    mask = ResourceTemplate(uri_template=MASK_URI, name="mask", mime_type="image/png")
    return ListResourceTemplatesResult(
        resource_templates=[mask, ResourceTemplate(uri_template=EXPORT_URI, name="export")]
    )


def get_caller(request: Request) -> str:
    """Return whose images a request may use: the name of its token; "" where there are no tokens."""
    user = request.request.scope.get("user") if request.request is not None else None
    return user.access_token.client_id if isinstance(user, AuthenticatedUser) else ""


def explain_error(error: Exception, what: str) -> str:
    """Say to an assistant what went wrong, with nothing of this machine in it. The log has all of it."""
    if isinstance(error, ToolError):
        return str(error)
    if isinstance(error, UserError):
        log.warning("%s failed: %s", what, error)
        return hide_paths(to_one_line(error))
    log.error("%s failed", what, exc_info=error)
    return f"{what[0].upper()}{what[1:]} failed because of a defect in the server; its log says where. Tell the user."
