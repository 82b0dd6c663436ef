"""The description of the HTTP API, as OpenAPI 3.1."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from peftir.serve.query_checks import MOST_CHARACTERS, MOST_DOCUMENTS

DEPTH = 10  # documents in an answer that does not say how many


def description() -> dict[str, Any]:
    """The OpenAPI description of all that the server answers but its pages."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Search in a study",
            "version": version("peftir"),
            "description": "Documents of the study's collection, ranked by its trained models.",
        },
        "paths": {
            "/api/search": {
                "get": {
                    "operationId": "search",
                    "summary": "The best documents for a query.",
                    "parameters": _PARAMETERS,
                    "responses": {
                        "200": _json("The ranking.", "Answer"),
                        "400": _json("The query, the chain or the depth is not as expected.", "Error"),
                        "404": _json("The study has no such chain.", "Error"),
                        "413": _json("The query is too long.", "Error"),
                        "503": _json("The server is ending.", "Error"),
                    },
                }
            },
            "/healthz": {
                "get": {
                    "operationId": "health",
                    "summary": "Whether the server answers.",
                    "responses": {"200": {"description": "It does."}},
                }
            },
            "/metrics": {
                "get": {
                    "operationId": "metrics",
                    "summary": "Queries, errors and latencies by chain, in Prometheus' text format.",
                    "responses": {"200": {"description": "The metrics."}},
                }
            },
        },
        "components": {"schemas": {"Answer": _ANSWER, "Result": _RESULT, "Error": _ERROR}},
    }


def _json(meaning: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": meaning, "content": content}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_PARAMETERS = [
    {
        "name": "q",
        "in": "query",
        "required": True,
        "description": f"The query, {MOST_CHARACTERS:,} characters at most. There is no query syntax.",
        "schema": {"type": "string", "maxLength": MOST_CHARACTERS},
    },
    {
        "name": "chain",
        "in": "query",
        "description": "FIRST or FIRST/RERANKER, where FIRST is bm25, RETRIEVER or rrf:RETRIEVER (BM25 and "
        "the retriever, fused). Models are named as their folders, such as lora-13. Default: bm25.",
        "schema": {"type": "string", "default": "bm25"},
    },
    {
        "name": "depth",
        "in": "query",
        "description": f"How many documents, {MOST_DOCUMENTS:,} at most. Default: {DEPTH}.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MOST_DOCUMENTS, "default": DEPTH},
    },
]

_TEXT, _WHOLE, _REAL = {"type": "string"}, {"type": "integer"}, {"type": "number"}

_RESULT = _object(
    rank=_WHOLE,
    score=_REAL,
    id=_TEXT,
    title=_TEXT | {"description": "The document's title, or its id if it has none."},
    snippet=_TEXT | {"description": "Plain text from the document."},
    matches={
        "description": "Start and end of each term of the query in the snippet, in characters.",
        "type": "array",
        "items": {"type": "array", "items": _WHOLE, "minItems": 2, "maxItems": 2},
    },
    grade={
        "description": "The judgement, if the query is a test query and the document is judged for it.",
        "type": ["integer", "null"],
    },
)

_ANSWER = _object(
    query=_TEXT,
    chain=_TEXT,
    milliseconds=_REAL,
    ranked=_WHOLE | {"description": "How many documents the chain ranked."},
    results={"type": "array", "items": {"$ref": "#/components/schemas/Result"}},
)

_ERROR = _object(error=_TEXT)
