"""The generated parts of docs/lint.md: the table of rules, a section for each, the comparison with `istioctl analyze`.

`python -m meshtrail.lint.reference docs/lint.md` writes them into the page; a test holds the page to them.
"""

from __future__ import annotations

import textwrap

from meshtrail import generated
from meshtrail.lint import rules
from meshtrail.lint.istioctl import MEANING, SAYS, VERSION
from meshtrail.lint.rule import RULES, Rule

EXAMPLES = "../src/meshtrail/lint/examples"
MARK = "# reported"


def parts() -> dict[str, str]:
    """Markdown by the name of its place in the page."""
    rules.load()
    return {
        "table": table(),
        "istioctl": comparison(),
        "rules": "\n\n".join(section(rule) for rule in RULES.values()),
    }


def table() -> str:
    rows = [f"| [`{rule.id}`](#{rule.id}) | {', '.join(rule.levels)} | {rule.title} |" for rule in RULES.values()]
    return "\n".join(["| rule | level | what it reports |", "|---|---|---|", *rows])


def comparison() -> str:
    rows = []
    for rule in RULES.values():
        said = ", ".join(f"{code} ({MEANING[code]})" for code in SAYS.get(rule.id, ()))
        rows.append(f"| [`{rule.id}`](#{rule.id}) | {said or 'nothing'} |")
    return "\n".join([f"| what `meshtrail lint` reports | `istioctl analyze` {VERSION} |", "|---|---|", *rows])


def section(rule: Rule) -> str:
    lines = [
        f"### {rule.id}",
        "",
        f"{rule.title} ({', '.join(rule.levels)}).",
        "",
        "```yaml",
        excerpt(rule.example("reported")),
        "```",
        "",
        rule.why,
        "",
        f"**Mend:** {rule.mend}",
    ]
    if rule.conditions:
        lines += ["", f"**Conditions:** {rule.conditions}"]
    whole = f"[reported]({EXAMPLES}/{rule.id}/reported.yaml), [in order]({EXAMPLES}/{rule.id}/clean.yaml)"
    return "\n".join([*lines, "", f"Whole examples: {whole}."])


def excerpt(text: str, before: int = 4, after: int = 2) -> str:
    """The lines that are reported, with some around each, of the object that they stand in."""
    shown: list[str] = []
    for document in text.split("---\n"):
        lines = document.splitlines()
        marked = [index for index, line in enumerate(lines) if line.endswith(MARK)]
        if marked:
            first, last = max(0, marked[0] - before), min(len(lines), marked[-1] + after + 1)
            kind = next(line for line in lines if line.startswith("kind:"))
            body = textwrap.dedent("\n".join(lines[first:last]))
            shown.append(body if kind in lines[first:last] else f"# {kind.partition(': ')[2]}\n{body}")
    return "\n---\n".join(shown)


def render(page: str) -> str:
    """The page with every generated part renewed. Raises ValueError when a place is missing."""
    return generated.renewed(page, parts())


if __name__ == "__main__":
    generated.write(render)
