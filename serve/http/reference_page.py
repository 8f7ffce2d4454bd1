"""`/docs`: the OpenAPI document as a page that needs no script, and nothing from any other server."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Schema = Mapping[str, Any]

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b2433 }
code { font-family: ui-monospace, monospace; font-size: .9em }
section { border-top: 1px solid #cbd3df; margin-top: 1.5rem }
h2 { font-size: 1.1rem } h3 { font-size: 1rem; margin-bottom: .25rem }
table { border-collapse: collapse; width: 100% } td { padding: .2rem .8rem .2rem 0; vertical-align: top }
td:first-child, td:nth-child(2) { white-space: nowrap }
nav li { margin: .15rem 0 }
@media (prefers-color-scheme: dark) { body { background: #12161d; color: #dde3ec } section { border-color: #39424f }
a { color: #8ab4ff } }
"""


def render_reference(document: Schema) -> str:
    """Return HTML: every route with what it takes and what it answers.

    Args:
        document: Of OpenAPI.
    """
    info = document["info"]
    routes = [
        (f"{method.upper()} {path}", operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    links = "".join(
        f'<li><a href="#{escape(operation["operationId"])}"><code>{escape(name)}</code></a></li>'
        for name, operation in routes
    )
    sections = "".join(_render_route(name, operation, document) for name, operation in routes)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info.get('summary', ''))} The same for"
        f' programs: <a href="/openapi.json">openapi.json</a>.</p><nav><ul>{links}</ul></nav>{sections}</body></html>'
    )


def _render_route(name: str, operation: Schema, document: Schema) -> str:
    text = escape(operation.get("description") or operation.get("summary", ""))
    parts = [f'<section id="{escape(operation["operationId"])}"><h2><code>{escape(name)}</code></h2><p>{text}</p>']
    parameters = operation.get("parameters", [])
    if parameters:
        rows = [(each["name"], each["in"], each.get("description", "")) for each in parameters]
        parts.append(f"<h3>Parameters</h3>{_render_rows(rows)}")
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h3>Body, <code>{escape(kind)}</code></h3>{_render_schema(body['schema'], document)}")
    for status, response in operation.get("responses", {}).items():
        for body in response.get("content", {}).values():
            if status.startswith("2") and body.get("schema"):
                parts.append(f"<h3>Answer {escape(status)}</h3>{_render_schema(body['schema'], document)}")
    return "".join(parts) + "</section>"


def _render_schema(schema: Schema, document: Schema) -> str:
    """Return a table of an object's fields, and one for each kind of object in them."""
    name, found = _resolve_schema(schema, document)
    if not found.get("properties"):
        return f"<p>{escape(_describe_type(schema, document))}</p>"
    rows = [
        (field, _describe_type(each, document), each.get("description", ""))
        for field, each in found["properties"].items()
    ]
    inner = {
        reference: None for each in found["properties"].values() for reference in _list_references(each)
    }  # in order, each once
    tables = "".join(
        f"<p><code>{escape(reference.rpartition('/')[2])}</code></p>{_render_schema({'$ref': reference}, document)}"
        for reference in inner
        if reference.rpartition("/")[2] != name
    )
    return _render_rows(rows) + tables


def _render_rows(rows: list[tuple[str, str, str]]) -> str:
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{escape(text)}</td></tr>"
        for name, kind, text in rows
    )
    return f"<table>{cells}</table>"


def _resolve_schema(schema: Schema, document: Schema) -> tuple[str, Schema]:
    """Return a schema and its name; what is only referred to is looked up."""
    name = schema.get("$ref", "").rpartition("/")[2]
    return name, document["components"]["schemas"][name] if name else schema


def _list_references(schema: Any) -> Iterator[str]:
    """Yield the kinds of objects that a field may hold."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        for value in schema.values():
            yield from _list_references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _list_references(value)


def _describe_type(schema: Schema, document: Schema) -> str:
    """Say in a few words what a field holds, e.g. 'list of string'."""
    if "$ref" in schema:
        name, found = _resolve_schema(schema, document)
        return name if "properties" in found else _describe_type(found, document)
    if "enum" in schema or "const" in schema:
        return " | ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "anyOf" in schema or "oneOf" in schema:
        return " | ".join(_describe_type(each, document) for each in schema.get("anyOf") or schema["oneOf"])
    if schema.get("type") == "array":
        inner = schema.get("prefixItems") or [schema.get("items", {})]
        return f"list of {_describe_type(inner[0], document)}"
    return str(schema.get("format") or schema.get("type", "any value"))
