"""The rules' part of docs/doctor.md, made from what the rules declare.

`python -m meshtrail.doctor.reference docs/doctor.md` writes it into the page; a test holds the page to it.
"""

from __future__ import annotations

from meshtrail import generated
from meshtrail.doctor.finding import Rule
from meshtrail.doctor.rules import RULES


def tables() -> dict[str, str]:
    """Markdown by the name of its place in the page."""
    return {"overview": overview(), "rules": "\n\n".join(section(rule) for rule in RULES)}


def overview() -> str:
    rows = [f"| [`{rule.id}`](#{rule.id}) | {rule.level} | {rule.title} |" for rule in RULES]
    return "\n".join(["| rule | level | says |", "|---|---|---|", *rows])


def section(rule: Rule) -> str:
    return "\n".join(
        [
            f"### {rule.id}",
            "",
            f"{rule.title}. Level: {rule.level}.",
            "",
            "| | |",
            "|---|---|",
            f"| looks at | {rule.looks_at} |",
            f"| decides | {rule.decides} |",
            f"| mend | {rule.mend} |",
            f"| silent | {rule.silent} |",
        ]
    )


def render(page: str) -> str:
    """The page with every generated part renewed. Raises ValueError when a place is missing."""
    return generated.renewed(page, tables())


if __name__ == "__main__":
    generated.write(render)
