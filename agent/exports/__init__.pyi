from .answer import ExportAnswer
from .base import Exporter
from .registry import EXPORTERS, export_episode, select_exporters

__all__ = ["EXPORTERS", "ExportAnswer", "Exporter", "export_episode", "select_exporters"]
