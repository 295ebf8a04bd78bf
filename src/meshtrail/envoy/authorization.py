"""AuthorizationPolicies as Envoy's RBAC filters, as istiod makes them: what denies first, then what allows."""

from __future__ import annotations

from collections.abc import Sequence

from meshtrail.envoy.proxy import TYPE, Config
from meshtrail.manifests import kinds

RBAC = "envoy.filters.http.rbac"
ANY: Config = {"any": True}


def filters(policies: Sequence[kinds.AuthorizationPolicy], port: int) -> list[Config]:
    """At most two filters for a listener of `port`, the container's. No policy that allows: everything is allowed."""
    result = []
    for action in ("DENY", "ALLOW"):
        chosen = [policy for policy in policies if policy.action == action]
        if chosen:
            result.append(_filter(action, chosen, port))
    return result


def _filter(action: str, policies: Sequence[kinds.AuthorizationPolicy], port: int) -> Config:
    rules = {
        f"ns[{policy.meta.namespace}]-policy[{policy.meta.name}]-rule[{index}]": {
            "permissions": _permissions(rule, port),
            "principals": [{"and_ids": {"ids": [ANY]}}],
        }
        for policy in policies
        for index, rule in enumerate(policy.rules)
    }
    config: Config = {
        "@type": f"{TYPE}/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": action, **({"policies": rules} if rules else {})},
    }
    return {"name": RBAC, "typed_config": config}


def _permissions(rule: kinds.AuthorizationRule, port: int) -> list[Config]:
    """Any of them will do: one for each operation, with the rule's own conditions in each."""
    return [
        {"and_rules": {"rules": [_condition(one, port) for one in (*operation, *rule.when)] or [ANY]}}
        for operation in rule.to or ((),)
    ]


def _condition(condition: kinds.OneOf, port: int) -> Config:
    found = {"or_rules": {"rules": [_holds(condition, value, port) for value in condition.values]}}
    return {"not_rule": found} if condition.inverted else found


def _holds(condition: kinds.OneOf, value: str, port: int) -> Config:
    if condition.property == "port":
        # The listener's own port is another one on a laptop, so this is decided here.
        return ANY if int(value) == port else {"not_rule": ANY}
    if condition.property == "path":
        return {"url_path": {"path": _string(value)}}
    name = {"host": ":authority", "method": ":method"}.get(condition.property, condition.name)
    if value == "*":
        return {"header": {"name": name, "present_match": True}}
    match = _string(value)
    if condition.property == "host":
        match["ignore_case"] = True
    return {"header": {"name": name, "string_match": match}}


def _string(value: str) -> Config:
    if value == "*":
        return {"safe_regex": {"regex": ".+"}}
    if value.startswith("*"):
        return {"suffix": value[1:]}
    return {"prefix": value[:-1]} if value.endswith("*") else {"exact": value}
