"""YAML text to values with places."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtrail.errors import ManifestError
from meshtrail.manifests.document import MAX_BYTES, MAX_DEPTH, Map, clone, parse, plain, read_text


def one(text: str) -> object:
    documents = parse(text, "f.yaml")
    assert len(documents) == 1
    return plain(documents[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        ("a: '1'", {"a": "1"}),
        ("a: 1.5", {"a": 1.5}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: 0755", {"a": 0o755}),
        ("a: 0x1F", {"a": 31}),
        ("a: 08", {"a": 8.0}),
        ("a: on", {"a": True}),
        ("a: 'on'", {"a": "on"}),
        ("a: n", {"a": False}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: 12:30", {"a": "12:30"}),
        ("a: 2026-11-01", {"a": "2026-11-01"}),
        ("a: 1.2.3", {"a": "1.2.3"}),
        ("a: !!str 5", {"a": "5"}),
        ('{"a": [1, null, {"b": true}]}', {"a": [1, None, {"b": True}]}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}),
        ("1: a\ntrue: b", {"1": "a", "true": "b"}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
        ("a: .inf", {"a": ".inf"}),
        ("a: " + "9" * 5000, {"a": "9" * 5000}),
    ],
)
def test_values(text: str, value: object) -> None:
    assert one(text) == value


def test_places_survive_copying_and_aliases_do_not_share() -> None:
    top = parse("# comment\na: &x\n  b: 1\nc: *x\n", "f.yaml")[0]
    assert isinstance(top, Map)
    assert (top.where("a").line, top["a"].where("b").line, top.where("c").line) == (2, 3, 4)
    top["a"]["b"] = 2
    assert top["c"]["b"] == 1
    assert clone(top)["a"].where("b") == top["a"].where("b")


def test_empty_documents_are_kept_apart() -> None:
    assert parse("---\n---\na: 1\n", "f.yaml")[0] is None
    assert parse("", "f.yaml") == []


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: 1\nb: [1, 2\n", 2, "YAML error at column"),
        ("a: 1\na: 2\n", 2, "key 'a' is given twice (first in line 1)"),
        ("a:\n  b: {c: 1, c: 2}\n", 2, "key 'c' is given twice"),
        ("a: 1\n\tb: 2\n", 2, "YAML error"),
        ("a: *nowhere\n", 1, "has no anchor before it"),
        ("a: !!python/object:os.system x\n", 1, "is not used in manifests"),
        ("a: !Custom {}\n", 1, "is not used in manifests"),
        ("? [a]\n: 1\n", 1, "a key must be a string"),
        ("a: \x01\n", 1, "YAML error"),
        ("a: &x\n  b: *x\n", 2, "has no anchor before it"),
        ("a:\n  <<: 5\n", 2, "merge key"),
        ("[" * (MAX_DEPTH + 1), 1, "nested deeper than"),
    ],
)
def test_errors_name_file_line_and_cause(text: str, line: int, part: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text, "f.yaml")
    problem = caught.value.problems[0]
    assert (problem.file, problem.line) == ("f.yaml", line)
    assert part in problem.message


def test_depth_just_within_the_limit_is_read() -> None:
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f.yaml")


def test_aliases_cannot_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    with pytest.raises(ManifestError, match="more than 200000 values"):
        parse("\n".join(lines), "f.yaml")


def test_files(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        read_text(tmp_path / "absent.yaml")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_text(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ManifestError, match=r"not UTF-8 \(byte 3\)"):
        read_text(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ManifestError, match="larger than 4 MiB"):
        read_text(tmp_path / "large.yaml")
    (tmp_path / "full.yaml").write_bytes(b"\xef\xbb\xbf" + b"#" * (MAX_BYTES - 3))
    assert read_text(tmp_path / "full.yaml").startswith("#")
