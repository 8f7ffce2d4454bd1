"""The protocols of label tools: Label Studio asks over HTTP, CVAT loads a module."""
