"""The documentation and the JSON schema, which are made from the model."""

import json
from pathlib import Path

from ringway.config import docs

ROOT = Path(__file__).parents[2]


def test_the_committed_documentation_is_fresh() -> None:
    remedy = "run: python -m ringway.config.docs docs"
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == docs.markdown(), remedy
    assert (ROOT / "docs/config.schema.json").read_text(encoding="utf-8") == docs.json_schema(), remedy


def test_no_text_of_the_documentation_looks_like_code() -> None:
    """Four spaces at the beginning of a line are code in Markdown."""
    assert [line for line in docs.markdown().splitlines() if line.startswith("    ")] == []
    assert "| `certificates` | list of tables |" in docs.markdown()


def test_every_key_is_documented() -> None:
    page = docs.markdown()
    schema = json.loads(docs.json_schema())
    for definition in [schema, *schema["$defs"].values()]:
        for name, entry in definition["properties"].items():
            assert f"`{name}`" in page or f"[{name}" in page or name == "type"
            assert "description" in entry or "$ref" in entry or "anyOf" in entry
