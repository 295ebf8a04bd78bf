"""The reference tables of docs/manifests.md, made from what the readers declare.

`python -m meshtrail.manifests.reference docs/manifests.md` writes them into the page; a test holds the page to them.
"""

from __future__ import annotations

from meshtrail import generated
from meshtrail.manifests.objects import KINDS, NOT_CARRIED_OUT, WITHOUT_MEANING
from meshtrail.manifests.patching import MERGE_KEYS
from meshtrail.manifests.reader import MESSAGES
from meshtrail.manifests.workload import REFUSED_ANNOTATIONS


def tables() -> dict[str, str]:
    """Markdown by the name of its place in the page."""
    return {
        "kinds": kinds_table(),
        "fields": fields_table(),
        "annotations": two_columns("annotation", "instead", REFUSED_ANNOTATIONS),
        "without-meaning": two_columns("kind", "why", WITHOUT_MEANING),
        "refused-kinds": two_columns("kind", "instead", NOT_CARRIED_OUT),
        "merge-keys": two_columns(
            "list", "joined by", {f"{kind} {path}": key for (kind, path), key in MERGE_KEYS.items()}
        ),
    }


def kinds_table() -> str:
    rows = [f"| {name} | {', '.join(code(api) for api in kind.api)} |" for name, kind in KINDS.items()]
    return "\n".join(["| kind | apiVersion |", "|---|---|", *rows])


def fields_table() -> str:
    rows = ["| object | carried out | inert | refused |", "|---|---|---|---|"]
    for name, one in MESSAGES.items():
        cells = (sorted(one.carried), sorted(one.inert), sorted(one.refused))
        rows.append(f"| {name} | {' | '.join(' '.join(code(field) for field in cell) or '-' for cell in cells)} |")
    return "\n".join(rows)


def two_columns(left: str, right: str, values: dict[str, str]) -> str:
    rows = [f"| {code(name)} | {text or '-'} |" for name, text in values.items()]
    return "\n".join([f"| {left} | {right} |", "|---|---|", *rows])


def code(text: str) -> str:
    return f"`{text}`"


def render(page: str) -> str:
    """The page with every generated table renewed. Raises ValueError when a place is missing."""
    return generated.renewed(page, tables())


if __name__ == "__main__":
    generated.write(render)
