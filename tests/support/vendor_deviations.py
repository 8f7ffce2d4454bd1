"""Rows of deviations: what vendors say at status 200 and above, in their own forms and languages."""
# ruff: noqa: E501 - what servers say stays in one piece

from typing import Any

from tests.support.chat_server import Answer, completion
from tests.support.deviations import (
    Answerer,
    Deviation,
    act_in_step,
    count_pictures,
    edit_calls,
    get_length,
    has_null,
    has_result,
    has_user_after_result,
    list_native_calls,
)


def refuse_body(test: Any, status: int, body: Any) -> Answerer:
    """Refuse the requests for which `test` holds with this body."""
    return lambda request, state: Answer(body, status) if test(request) else None


def fail_in_step_2(status: int, body: Any, **answer: Any) -> Answerer:
    return act_in_step(2, lambda request: Answer(body, status, **answer), times=1)


def names(field: str) -> Any:
    return lambda request: field in request


def is_forced(request: dict[str, Any]) -> bool:
    return request.get("tool_choice") == "required"


def refuse_beyond_credit(request: dict[str, Any], state: Any) -> Any:
    if get_length(request) <= 815:
        return None
    said = f"This request requires more credits, or fewer max_tokens. You requested up to {get_length(request)} tokens, but can only afford 815."
    return Answer({"error": {"code": 402, "message": said}}, 402)


REFUSALS: tuple[tuple[str, Any, int, Any], ...] = (
    ("xAI", names("parallel_tool_calls"), 400, {"code": "Client specified an invalid argument", "error": "Model grok-4 does not support parameter parallel_tool_calls."}),
    ("Cerebras", names("parallel_tool_calls"), 422, {"message": "body.parallel_tool_calls: property 'parallel_tool_calls' is unsupported", "code": "wrong_api_format"}),
    ("Mistral, nested", names("parallel_tool_calls"), 422, {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "parallel_tool_calls"], "msg": "Extra inputs are not permitted"}]}}),
    ("Gemini, in a list", names("parallel_tool_calls"), 400, [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "parallel_tool_calls": Cannot find field.'}}]),
    ("Cloudflare", names("parallel_tool_calls"), 400, {"success": False, "errors": [{"code": 5006, "message": "Additional property 'parallel_tool_calls' is not allowed"}]}),
    ("Azure API management", names("parallel_tool_calls"), 400, {"title": "Bad Request", "status": 400, "detail": "Unknown field parallel_tool_calls"}),
    ("plain text", names("temperature"), 400, "temperature: not supported"),
    ("OpenRouter, what the provider said", names("temperature"), 400, {"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": '{"error": {"message": "\'temperature\' does not support 0"}}'}}}),
    ("OpenRouter at status 200", names("temperature"), 200, {"error": {"code": 400, "message": "Unsupported parameter: 'temperature'"}}),
    ("OpenRouter at status 200, no pictures", count_pictures, 200, {"error": {"code": 404, "message": "No endpoints found that support image input"}}),
    ("MiniMax at status 200", names("temperature"), 200, {"choices": None, "base_resp": {"status_code": 2013, "status_msg": "invalid params, temperature must be in (0, 1]"}}),
    ("Zhipu, temperature", names("temperature"), 400, {"error": {"code": "1214", "message": "temperature参数非法。取值范围是 (0, 1]"}}),
    ("Zhipu, tool_choice", is_forced, 400, {"error": {"code": "1210", "message": "tool_choice参数非法"}}),
    ("Anthropic, thinking", is_forced, 400, {"type": "error", "error": {"type": "invalid_request_error", "message": "Thinking may not be enabled when tool_choice forces tool use."}}),
    ("Bedrock, toolChoice", is_forced, 400, {"detail": "ValidationException: This model doesn't support the toolConfig.toolChoice.any field. Remove toolConfig.toolChoice.any and try again."}),
    ("DeepSeek, null", has_null, 422, {"error": {"message": "Failed to deserialize the JSON body into the target type: messages[2]: invalid type: null, expected a string"}}),
    ("Ollama, null", has_null, 400, {"error": {"message": "invalid message content type: <nil>"}}),
    ("llama.cpp, a template that null breaks", has_null, 500, {"error": {"code": 500, "message": "Value is not callable: null at row 12 in chat template"}}),
    ("vLLM, a template that null breaks", has_null, 500, "Internal Server Error"),
    ("Gemini, turns", has_user_after_result, 400, [{"error": {"code": 400, "message": "Please ensure that function call turn comes immediately after a user turn or after a function response turn."}}]),
    ("Snowflake, results", has_result, 400, {"message": "messages with role tool must be preceded by a message with tool_calls"}),
    ("Ollama, pictures", count_pictures, 400, {"error": {"message": "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"}}),
    ("SiliconFlow, pictures", count_pictures, 400, {"code": 20041, "message": "The model is not a VLM (Vision Language Model).", "data": None}),
    ("Groq, its own extra members", lambda r: any("extra_content" in call for call in list_native_calls(r)), 400, {"error": {"message": "'messages.2.tool_calls.0' : property 'extra_content' is unsupported"}}),
)  # fmt: skip
PASSING: tuple[tuple[str, int, Any], ...] = (
    ("Bedrock, throttled at status 400", 400, {"detail": "An error occurred (ThrottlingException): Too many requests, please wait before trying again."}),
    ("LM Studio, crashed", 400, {"error": "The model has crashed without additional information. (Exit code: 6)"}),
    ("LM Studio, unloaded", 400, {"error": "Model unloaded."}),
    ("TGI", 424, {"error": "Request failed during generation: Server error: CUDA out of memory", "error_type": "generation"}),
    ("Groq", 498, {"error": {"message": "Flex tier capacity exceeded"}}),
    ("Anthropic", 529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ("edges", 425, {"error": "too early"}),
    ("nginx", 499, {"error": "client closed request"}),
    ("Cloudflare's challenge", 403, "<html>Just a moment...</html>"),
    ("an ingress without its pods", 404, "404 page not found"),
    ("OpenRouter at status 200", 200, {"error": {"code": 429, "message": "Rate limited. Please retry in 0.2s."}}),
    ("no choices", 200, {"choices": [], "usage": {"prompt_tokens": 1}}),
    ("a message of null", 200, {"choices": [{"message": None, "finish_reason": "stop"}]}),
)  # fmt: skip
LASTING: tuple[tuple[str, Any, str], ...] = (
    ("OpenAI, a refusal part", completion([{"type": "refusal", "refusal": "I can't help with that."}]), "I can't help"),
    ("Gemini, blocked", {"choices": [], "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, "PROHIBITED_CONTENT"),
    ("LM Studio, crashed for ever", Answer({"error": "The model has crashed."}, 400), "crashed"),
    ("DashScope, inspected", Answer({"error": {"code": "data_inspection_failed", "message": "Input data may contain inappropriate content."}}, 400), "inappropriate content"),
    ("OpenRouter, a key at status 200", {"error": {"code": 401, "message": "User not found."}}, "refused the key"),
)  # fmt: skip


def _sign_call(call: dict[str, Any]) -> None:
    call.update(extra_content={"google": {"thought_signature": "CiQB"}})


def _refuse_or_sign(answer: Answerer) -> Answerer:
    return lambda request, state: answer(request, state) or edit_calls(_sign_call)(request, state)


VENDOR_ROWS = (
    *(
        Deviation(
            f"refused: {seen_at}",
            seen_at.partition(",")[0],
            _refuse_or_sign(refuse_body(test, status, body)) if "extra" in seen_at else refuse_body(test, status, body),
        )
        for seen_at, test, status, body in REFUSALS
    ),
    *(Deviation(f"once: {seen_at}", seen_at, fail_in_step_2(status, body)) for seen_at, status, body in PASSING),
    *(
        Deviation(f"for ever: {seen_at}", seen_at, act_in_step(2, lambda r, body=body: body), words, keeps_masks=True)
        for seen_at, body, words in LASTING
    ),
    Deviation("credit for a shorter reply", "OpenRouter", refuse_beyond_credit, most_requests=4),
)
