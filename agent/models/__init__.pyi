from .base import Call, Capabilities, ChatModel, Message, Messages, ModelError, Reply, Role, Schema, TokenOdds
from .openai.client import OpenAICompatible, ServerSettings
from .progress import Listener, ModelNews, PartialReply, RetryNotice, listen_to_models
from .rendering import Wire
from .transformers import GenerationSettings, TransformersModel
from .vllm import SamplingSettings, VllmModel

__all__ = [
    "Call",
    "Capabilities",
    "ChatModel",
    "GenerationSettings",
    "Listener",
    "Message",
    "Messages",
    "ModelError",
    "ModelNews",
    "OpenAICompatible",
    "PartialReply",
    "Reply",
    "RetryNotice",
    "Role",
    "SamplingSettings",
    "Schema",
    "ServerSettings",
    "TokenOdds",
    "TransformersModel",
    "VllmModel",
    "Wire",
    "listen_to_models",
]
