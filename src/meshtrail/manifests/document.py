"""YAML documents as plain values that remember where they were written.

`parse` returns `Map`, `List` and scalars. A `Map` knows the place of every key, so an error can name file and line even
after kustomize has merged two files. Scalars follow YAML 1.1 as kubectl reads it (`on`, `yes` and `y` are booleans),
but for base-60 numbers and dates, which Kubernetes does not know either.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from meshtrail.errors import ManifestError, Problem

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
# An alias counts as often as it is used: a few nested aliases can stand for billions of values.
MAX_VALUES = 200_000

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_BASED = re.compile(r"[-+]?0(?:x[0-9a-fA-F]+|o?[0-7]+|b[01]+)\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_TRUE = frozenset({"y", "Y", "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "binary")}


@dataclass(frozen=True, slots=True)
class Mark:
    """A place: `line` is 1-based."""

    file: str
    line: int


class Map(dict[str, Any]):
    """A mapping in the order of the file; `marks` has the place of each key."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.marks: dict[str, Mark] = {}

    def put(self, key: str, value: Any, mark: Mark) -> None:
        """Set a key together with its place."""
        self[key] = value
        self.marks[key] = mark

    def where(self, key: str) -> Mark:
        return self.marks.get(key, self.mark)


class List(list[Any]):
    """A sequence; a mapping in it has its own place, a scalar that of the list."""

    __slots__ = ("mark",)

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark


def clone(value: Any) -> Any:
    """A deep copy that keeps the places."""
    if isinstance(value, Map):
        copy = Map(value.mark)
        for key, item in value.items():
            copy.put(key, clone(item), value.where(key))
        return copy
    if isinstance(value, List):
        items = List(value.mark)
        items.extend(clone(item) for item in value)
        return items
    return value


def adopt(value: Any, mark: Mark) -> Any:
    """Plain dicts and lists as `Map` and `List`, every place being `mark`."""
    if isinstance(value, dict):
        out = Map(mark)
        for key, item in value.items():
            out.put(key, adopt(item, mark), mark)
        return out
    if isinstance(value, list | tuple):
        items = List(mark)
        items.extend(adopt(item, mark) for item in value)
        return items
    return value


def plain(value: Any) -> Any:
    """The same as ordinary dicts and lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """The text of a manifest. Raises ManifestError: missing, unreadable, too large, not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise ManifestError([Problem("no such file", file=str(path))]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ManifestError([Problem(f"cannot be read: {reason}", file=str(path))]) from None
    if len(data) > max_bytes:
        raise ManifestError([Problem(f"larger than {max_bytes // 1024 // 1024} MiB", file=str(path))])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ManifestError([Problem(f"not UTF-8 (byte {error.start})", file=str(path))]) from None


def parse(text: str, file: str, max_values: int = MAX_VALUES) -> list[Any]:
    """Every document of a YAML or JSON text; empty documents are None.

    Raises ManifestError with file, line and column for anything that is not YAML, for a key given twice, and for
    documents beyond the limits of this module.
    """
    try:
        return _Builder(file, max_values).documents(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # Of half a file the parser names the line behind its end.
        line, column = (min(mark.line, text.rstrip().count("\n")) + 1, mark.column + 1) if mark else (0, 0)
        what = error.problem or error.context or "not understood"
        raise ManifestError([Problem(f"YAML error at column {column}: {what}", file=file, line=line)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ManifestError([Problem(f"YAML error: {error.reason}", file=file, line=line)]) from None
    except yaml.YAMLError as error:
        raise ManifestError([Problem(f"YAML error: {error}", file=file)]) from None


class _Builder:
    """Builds values from the parser's events with a stack of its own: no recursion, so depth is ours to limit."""

    def __init__(self, file: str, max_values: int) -> None:
        self.file, self.max_values = file, max_values
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.count = 0

    def documents(self, text: str) -> list[Any]:
        parser = _Parser(text)
        out: list[Any] = []
        try:
            while parser.check_event():
                if isinstance(parser.get_event(), yaml.DocumentStartEvent):
                    self.anchors = {}
                    out.append(self.document(parser))
        finally:
            parser.dispose()
        return out

    def document(self, parser: Any) -> Any:
        # Each open collection: value, pending key (a mapping's) with its place, anchor, number of values before it.
        stack: list[list[Any]] = []
        while True:
            event = parser.get_event()
            mark = Mark(self.file, event.start_mark.line + 1)
            self.count += 1
            if isinstance(event, yaml.ScalarEvent):
                value = self.scalar(event)
                if event.anchor:
                    self.anchors[event.anchor] = (value, 1)
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in self.anchors:
                    raise self.error(event, f"alias *{event.anchor} has no anchor before it")
                value, size = self.anchors[event.anchor]
                # A copy: kustomize changes documents in place.
                self.count += size
                if self.count <= self.max_values:
                    value = clone(value)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self.check_tag(event)
                if len(stack) >= MAX_DEPTH:
                    raise self.error(event, f"nested deeper than {MAX_DEPTH} levels")
                new = Map(mark) if isinstance(event, yaml.MappingStartEvent) else List(mark)
                stack.append([new, None, event.anchor, self.count])
                continue
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                value, _, anchor, before = stack.pop()
                mark = value.mark
                if isinstance(value, Map):
                    value = merge_key(value)
                if anchor:
                    self.anchors[anchor] = (value, self.count - before + 1)
            else:
                raise self.error(event, "unexpected end of the document")
            if self.count > self.max_values:
                raise self.error(event, f"more than {self.max_values} values (aliases count as often as they are used)")
            if not stack:
                return value
            self.place(stack[-1], value, mark, event)

    def place(self, top: list[Any], value: Any, mark: Mark, event: yaml.Event) -> None:
        container, key = top[0], top[1]
        if isinstance(container, List):
            container.append(value)
        elif key is None:
            if isinstance(value, Map | List):
                raise self.error(event, "a key must be a string")
            if isinstance(event, yaml.ScalarEvent) and event.value == "<<" and not event.style:
                value = "<<"
            # Label keys such as 1 or true are strings to Kubernetes: keep what was written.
            text = value if isinstance(value, str) else str(getattr(event, "value", value))
            if text in container:
                first = container.where(text).line
                raise self.error(event, f"key {text!r} is given twice (first in line {first})")
            top[1] = (text, mark)
            container.put(text, None, mark)
        else:
            container.put(key[0], value, key[1])
            top[1] = None

    def check_tag(self, event: Any) -> None:
        if event.tag and event.tag != "!" and event.tag not in _TAGS:
            raise self.error(event, f"tag {event.tag} is not used in manifests")

    def scalar(self, event: yaml.ScalarEvent) -> Any:
        self.check_tag(event)
        text: str = event.value
        if event.tag in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:binary") or event.style or event.tag == "!":
            return text
        if text in _NULL:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        return number(text)

    def error(self, event: yaml.Event, message: str) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=message, problem_mark=cast("yaml.Mark | None", event.start_mark))


def number(text: str) -> int | float | str:
    """A plain scalar as number if it is one, else unchanged."""
    # Python refuses to convert integers of thousands of digits; no field takes one.
    if len(text) > 64:
        return text
    if _INT.match(text):
        return int(text)
    if _BASED.match(text):
        sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("", text)
        return int(sign + (digits if digits[1:2] in ("x", "o", "b") else f"0o{digits[1:]}"), 0)
    if _FLOAT.match(text):
        value = float(text)
        return value if math.isfinite(value) else text
    return text


def merge_key(value: Map) -> Map:
    """Resolve YAML's merge key `<<`; keys of the mapping itself win."""
    if "<<" not in value:
        return value
    sources = value["<<"]
    out = Map(value.mark)
    for source in reversed(sources if isinstance(sources, List) else [sources]):
        if not isinstance(source, Map):
            mark = value.where("<<")
            problem = Problem("YAML error: the merge key << takes a mapping", mark.file, mark.line)
            raise ManifestError([problem])
        for key, item in source.items():
            out.put(key, item, source.where(key))
    for key, item in value.items():
        if key != "<<":
            out.put(key, item, value.where(key))
    return out
