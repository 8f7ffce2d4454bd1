from .base import Call, Capabilities, ChatModel, Message, Messages, ModelError, Reply, Role, Schema
from .openai.client import OpenAICompatible, ServerSettings
from .rendering import Wire
from .transformers import GenerationSettings, TransformersModel
from .vllm import SamplingSettings, VllmModel

__all__ = [
    "Call",
    "Capabilities",
    "ChatModel",
    "GenerationSettings",
    "Message",
    "Messages",
    "ModelError",
    "OpenAICompatible",
    "Reply",
    "Role",
    "SamplingSettings",
    "Schema",
    "ServerSettings",
    "TransformersModel",
    "VllmModel",
    "Wire",
]
