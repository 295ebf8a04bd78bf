"""A drawing as an SVG picture that loads nothing: no web font, no style sheet, no script.

Every run of text has its length in cells written to it, so it looks right with whatever monospace font the reader has.
"""

from __future__ import annotations

import io

from rich.console import Console

FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" class="rich-terminal" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{
  font-family: system-ui, sans-serif;
  font-size: 18px;
  font-weight: bold;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def recorder(width: int = 100) -> Console:
    """A console that writes nowhere and remembers what was drawn, in full colour."""
    return Console(
        record=True,
        width=width,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        legacy_windows=False,
    )


def svg(console: Console, *, title: str) -> str:
    """What `console` (from `recorder`) remembers, as a whole SVG document."""
    picture = console.export_svg(title=title, code_format=FORMAT, unique_id="meshtrail")
    # Without it a font that is narrower than expected leaves gaps inside the bars.
    return picture.replace(" textLength=", ' lengthAdjust="spacingAndGlyphs" textLength=')
