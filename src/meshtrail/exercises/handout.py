"""Handouts: an exercise's page as one sheet of HTML that prints well and needs nothing else.

For participants hints, solution and the reasons stay out, and wrong turns with them: they say what is right. The sheet
of a trainer has everything.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from meshtrail.exercises.catalog import Exercise
from meshtrail.exercises.pages import HEADINGS

FOR_TRAINERS = ("Wrong turns", "Hints", "Solution", "Why")

TEXTS = {
    "en": {
        "minutes": "minutes",
        "notes": "Notes",
        "trainer": "For the trainer",
        "cases": "Cases",
        "start": "Start",
        "stuck": "Stuck?",
    },
    "ru": {
        "minutes": "мин",
        "notes": "Заметки",
        "trainer": "Для ведущего",
        "cases": "Варианты",
        "start": "Начать",
        "stuck": "Застряли?",
    },
}

DENSE = 3600
"""Characters from which a participant's sheet is set smaller, without room for notes."""

STYLE = """
@page { margin: 10mm 13mm; }
* { box-sizing: border-box; }
body { font: 10.5pt/1.38 system-ui, "Liberation Sans", "DejaVu Sans", sans-serif; color: #111; margin: 0 auto;
  max-width: 182mm; padding: 6mm; }
header { border-bottom: 2.5pt solid #111; padding-bottom: 2mm; margin-bottom: 3mm; }
header p { margin: 0; color: #444; font-size: 9.5pt; }
h1 { font-size: 20pt; line-height: 1.15; margin: 0 0 1mm; }
h2 { font-size: 12pt; margin: 4mm 0 1mm; break-after: avoid; }
p, ul, ol { margin: 1.2mm 0; }
ul, ol { padding-left: 6mm; }
li { margin: 0.6mm 0; }
pre, code { font-family: ui-monospace, "Liberation Mono", "DejaVu Sans Mono", monospace; font-size: 9.2pt; }
code { background: #eee; padding: 0 0.6mm; border-radius: 0.6mm; }
pre { background: #f3f3f3; border-left: 1.2mm solid #777; padding: 1.6mm 2.5mm; margin: 1.6mm 0; white-space: pre-wrap;
  overflow-wrap: anywhere; break-inside: avoid; }
pre code { background: none; padding: 0; }
table { border-collapse: collapse; margin: 1.6mm 0; }
th, td { border: 0.3mm solid #999; padding: 0.6mm 2mm; text-align: left; vertical-align: top; }
a { color: inherit; text-decoration: none; }
pre[title]::before { content: attr(title); float: right; font: 8pt system-ui, sans-serif; color: #555; }
.trainer h2 { border-left: 1.6mm solid #111; padding-left: 2mm; }
.notes { break-inside: avoid; }
.notes div { height: 21mm; background: repeating-linear-gradient(#fff, #fff 6.7mm, #aaa 6.7mm, #aaa 7mm); }
@media screen { body { box-shadow: 0 0 4mm #ccc; margin: 6mm auto; padding: 14mm 15mm; } }
@media print {
  body { padding: 0; max-width: none; font-size: 8.9pt; line-height: 1.26; }
  .participant main { columns: 2; column-gap: 7mm; }
  .dense { font-size: 8.4pt; line-height: 1.22; }
  .dense pre, .dense code { font-size: 7.6pt; }
  .dense .notes { display: none; }
  pre, code { font-size: 8pt; }
  pre { padding: 1mm 2mm; margin: 1mm 0; }
  h2 { margin-top: 3mm; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def handout(exercise: Exercise, language: str, *, trainer: bool) -> str:
    """A whole HTML document without scripts, pictures or anything that is loaded."""
    page, texts = exercise.page(language), TEXTS[language]
    kept = [
        (heading, part)
        for original, heading, part in zip(HEADINGS["en"], HEADINGS[language], page.parts, strict=True)
        if trainer or original not in FOR_TRAINERS
    ]
    body = "\n".join(_part(heading, part, trainer_only=not _for_all(heading, language)) for heading, part in kept)
    # On paper a participant's sheet is one page; tests/browser counts.
    dense = sum(len(part) for _, part in kept) > DENSE
    kind = "trainer-sheet" if trainer else "participant dense" if dense else "participant"
    notes = "" if trainer else f'<section class="notes"><h2>{texts["notes"]}</h2><div></div></section>'
    return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{html.escape(page.title)}</title>
<style>{STYLE}</style>
</head>
<body class="{kind}">
<header><h1>{html.escape(page.title)}</h1><p>{_line(exercise, language, trainer=trainer)}</p></header>
<main>
{body}
{notes}
</main>
</body>
</html>
"""


def _for_all(heading: str, language: str) -> bool:
    return HEADINGS["en"][HEADINGS[language].index(heading)] not in FOR_TRAINERS


def _line(exercise: Exercise, language: str, *, trainer: bool) -> str:
    settings, texts = exercise.settings, TEXTS[language]
    call = f"<code>meshtrail exercise start {exercise.number}</code>"
    said = [f"{settings.minutes} {texts['minutes']}", f"{texts['start']}: {call}"]
    if not trainer:
        said.append(f"{texts['stuck']} <code>meshtrail exercise hint {exercise.number}</code>")
    names = [case.name for case in settings.cases if case.name]
    if trainer and names:
        said.append(f"{texts['cases']}: {html.escape(', '.join(names))}")
    return (f"<b>{texts['trainer']}</b> · " if trainer else "") + " · ".join(said)


def _part(heading: str, text: str, *, trainer_only: bool) -> str:
    """Links lead into the repository, which is not on paper: their text stays."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("fence", _fence)
    rendered = markdown.render(text)
    rendered = re.sub(r"<a href=[^>]*>(.*?)</a>", r"\1", rendered, flags=re.DOTALL)
    kind = ' class="trainer"' if trainer_only else ""
    return f"<section{kind}><h2>{html.escape(heading)}</h2>\n{rendered}</section>"


def _fence(
    renderer: RendererProtocol, tokens: Sequence[Token], position: int, options: OptionsDict, environment: EnvType
) -> str:
    """A block, with the cases and the target that it is for."""
    token = tokens[position]
    words = dict(re.findall(r"(case|target)=(\S+)", token.info))
    said = ", ".join(value.replace(",", ", ") for value in words.values())
    title = f' title="{html.escape(said)}"' if said else ""
    return f"<pre{title}><code>{html.escape(token.content)}</code></pre>\n"


def index(exercises: Sequence[Exercise], language: str) -> str:
    """A page that links all sheets, with the time of each and of all."""
    rows = "".join(
        f"<tr><td>{one.number}</td>"
        f'<td><a href="{quote(name_of(one))}">{html.escape(one.settings.title[language])}</a></td>'
        f"<td>{one.settings.minutes} {TEXTS[language]['minutes']}</td></tr>"
        for one in exercises
    )
    total = sum(one.settings.minutes for one in exercises)
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>meshtrail</title>'
        f"<style>{STYLE}a {{ text-decoration: underline; }}</style></head><body><h1>meshtrail</h1><table>{rows}"
        f"<tr><td></td><td></td><td>{total} {TEXTS[language]['minutes']}</td></tr></table></body></html>\n"
    )


def name_of(exercise: Exercise) -> str:
    return f"{exercise.id}.html"
