"""Gateways: whether a proxy carries them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshtrail.lint.bundle import Bundle, selects
from meshtrail.lint.finding import Found
from meshtrail.lint.objects import dig, sequence, strings
from meshtrail.lint.rule import error, note, rule
from meshtrail.lint.workload import GATEWAY_LABELS
from meshtrail.manifests.document import Map


def _proxies(bundle: Bundle) -> list[Mapping[str, str]]:
    """The labels of the gateways that are among the manifests, and of those that an IstioOperator names."""
    found: list[Mapping[str, str]] = [one.labels for one in bundle.all.workloads if one.is_gateway]
    for one in bundle.all.of("IstioOperator"):
        for kind in ("ingressGateways", "egressGateways"):
            for entry in sequence(one.get("spec", "components", kind)):
                if isinstance(entry, Map) and entry.get("enabled") is not False:
                    default = {
                        "istio": kind.removesuffix("s").lower(),
                        "app": f"istio-{kind.removesuffix('s').lower()}",
                    }
                    found.append(default | strings(dig(entry, ("label",))))
    return found


@rule(
    "gateway-selector",
    "A Gateway selects no proxy",
    "error",
    "note",
    why="""No proxy opens the port, so no request comes in this way, and traces begin in the middle if at all. Istio
    accepts the Gateway.""",
    mend="""Use the labels of the gateway's pods: `istio: ingressgateway` with istioctl, `istio: NAME` with the Helm
    chart installed as `istio-NAME`.""",
    conditions="""An error only where gateways are among the manifests; else a note for labels that no installation
    gives. Gateways of the Gateway API make their own proxies.""",
)
def gateway_selector(bundle: Bundle) -> Iterator[Found]:
    proxies = _proxies(bundle)
    for one in bundle.of("Gateway", "networking.istio.io"):
        wanted = strings(one.get("spec", "selector"))
        if not wanted or any(selects(wanted, labels) for labels in proxies):
            continue
        shown = ", ".join(f"{key}={value}" for key, value in wanted.items())
        usual = wanted.get("istio", "") in GATEWAY_LABELS or wanted.get("app", "").startswith("istio-")
        if proxies and not usual:
            have = "; ".join(f"istio={labels['istio']}" for labels in proxies if labels.get("istio"))
            mend = f"select one of the gateways here: {have}" if have else "use the labels of the gateway's pods"
            yield error(one, ("spec", "selector"), f"no gateway here has the labels {shown}", mend)
        elif not usual:
            yield note(
                one,
                ("spec", "selector"),
                f"{shown} are not the labels of a usual gateway, and no gateway is among the manifests",
                "istioctl's gateway has istio: ingressgateway",
            )
