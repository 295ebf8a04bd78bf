"""Istio's AuthorizationPolicy: which requests a proxy refuses.

Who sends a request is known on a cluster from mutual TLS alone, which the local mesh does not have: every condition on
it is refused.
"""

from __future__ import annotations

import re
from typing import Literal

from meshtrail.manifests import kinds
from meshtrail.manifests.kubernetes import OBJECT
from meshtrail.manifests.reader import Fields, Value, message

IDENTITY = "callers have no identity on one machine: try this policy on a cluster"

_OF_THE_CALLER = tuple(
    f"not{name[0].upper()}{name[1:]}" if inverted else name
    for name in ("principals", "requestPrincipals", "namespaces", "serviceAccounts", "ipBlocks", "remoteIpBlocks")
    for inverted in (False, True)
)

AUTHORIZATION_POLICY = message("AuthorizationPolicy", f"{OBJECT} spec", inert="status")
SPEC = message(
    "AuthorizationPolicy.spec",
    "selector action rules",
    refused={"targetRef": "use a selector", "targetRefs": "use a selector", "provider": "use ALLOW or DENY"},
)
SELECTOR = message("AuthorizationPolicy.spec.selector", "matchLabels")
RULE = message("AuthorizationPolicy.spec.rules[]", "from to when")
FROM = message("AuthorizationPolicy.spec.rules[].from[]", "source")
SOURCE = message(
    "AuthorizationPolicy.spec.rules[].from[].source",
    refused=dict.fromkeys(_OF_THE_CALLER, IDENTITY),
)
TO = message("AuthorizationPolicy.spec.rules[].to[]", "operation")
OPERATION = message(
    "AuthorizationPolicy.spec.rules[].to[].operation",
    "hosts notHosts ports notPorts methods notMethods paths notPaths",
)
WHEN = message("AuthorizationPolicy.spec.rules[].when[]", "key values notValues")

_HEADER = re.compile(r"request\.headers\[([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\]\Z", re.ASCII)
Property = Literal["host", "method", "path", "port"]
_PROPERTIES: tuple[tuple[str, str, Property], ...] = (
    ("hosts", "notHosts", "host"),
    ("ports", "notPorts", "port"),
    ("methods", "notMethods", "method"),
    ("paths", "notPaths", "path"),
)


def authorization_policy(top: Fields, meta: kinds.Meta) -> kinds.AuthorizationPolicy:
    spec = top.fields("spec", SPEC)
    if spec is None:
        return kinds.AuthorizationPolicy(meta, {}, "ALLOW", ())
    selector = spec.fields("selector", SELECTOR)
    action = spec.text("action", "ALLOW", choices=("ALLOW", "DENY", "AUDIT", "CUSTOM"))
    if action in ("AUDIT", "CUSTOM"):
        spec.not_carried_out("action", "use ALLOW or DENY", f"action {action}")
    items = spec.all_fields("rules", RULE)
    rules = tuple(_rule(item) for item in items)
    if action == "DENY" and not rules:
        spec.error("a policy that denies needs rules", "action", "add rules, or take ALLOW to refuse everything")
    chosen: Literal["ALLOW", "DENY"] = "DENY" if action == "DENY" else "ALLOW"
    labels = selector.labels("matchLabels") if selector else {}
    # Lenient reading leaves out what it does not know; a policy in part would be another one.
    whole = action in ("ALLOW", "DENY") and all(_asks_the_request_alone(item) for item in items)
    return kinds.AuthorizationPolicy(meta, labels, chosen, rules, carried_out=whole)


def _asks_the_request_alone(rule: Fields) -> bool:
    found = rule.raw.get("when")
    keys = [item.get("key") for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    return "from" not in rule and all(_HEADER.match(str(key)) or key == "destination.port" for key in keys)


def _rule(fields: Fields) -> kinds.AuthorizationRule:
    for item in fields.all_fields("from", FROM):
        # Its fields are refused one by one.
        item.fields("source", SOURCE, required=True)
    operations = [item.fields("operation", OPERATION, required=True) for item in fields.all_fields("to", TO)]
    return kinds.AuthorizationRule(
        to=tuple(_operation(one) for one in operations if one is not None),
        when=tuple(one for item in fields.all_fields("when", WHEN) for one in _when(item)),
    )


def _operation(fields: Fields) -> tuple[kinds.OneOf, ...]:
    found = []
    for plain, inverted, name in _PROPERTIES:
        for field in (plain, inverted):
            values = tuple(_value(item, name) for item in fields.items(field))
            if values:
                found.append(kinds.OneOf(name, values, inverted=field == inverted))
    if not found:
        fields.error("needs a condition", mend="name hosts, ports, methods or paths")
    return tuple(found)


def _when(fields: Fields) -> list[kinds.OneOf]:
    key = fields.text("key", required=True)
    header = _HEADER.match(key)
    if not header and key != "destination.port":
        fields.not_carried_out("key", IDENTITY if key.startswith(("source.", "request.auth.")) else "", key[:60])
        return []
    fields_there = [field for field in ("values", "notValues") if field in fields]
    if not fields_there:
        fields.error("needs values or notValues")
    kind: Literal["header", "port"] = "header" if header else "port"
    return [
        kinds.OneOf(
            kind,
            tuple(_value(item, kind) for item in fields.items(field, required=True)),
            inverted=field == "notValues",
            name=header[1] if header else "",
        )
        for field in fields_there
    ]


def _value(value: Value, name: str) -> str:
    text = value.text()
    if name == "port":
        if text and not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
            value.error(f"{text[:60]!r} is not a port")
            return "1"
    elif name == "path" and "{" in text:
        value.scope.not_carried_out(value.mark, value.path, "write the path with a * at its end", "a path template")
    elif "*" in text.strip("*") or text.count("*") > 1:
        value.error(f"{text[:60]!r} has a * elsewhere than at its begin or end")
    return text
