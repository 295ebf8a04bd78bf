"""What the chosen languages need is built before a mesh starts, where a person sees it and can interrupt it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from meshtrail.local import toolchains
from meshtrail.local.applications import DEFAULT_LANGUAGE, application, parse_forms, parse_languages
from meshtrail.local.options import MeshOptions


def build(options: MeshOptions, announce: Callable[[str], None]) -> None:
    """Make the services of `options` ready to start; `announce` gets a sentence for each that takes a while.

    Raises MeshtrailError when a toolchain is missing or a build fails.
    """
    app = application(options.application)
    forms = parse_forms(app, options.form)
    for service, language in parse_languages(app, options.lang).items():
        if language != DEFAULT_LANGUAGE:
            toolchains.command(Path(options.root), service, language, forms[service], announce=announce)
