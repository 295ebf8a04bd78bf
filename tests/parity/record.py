"""Records the situations on the cluster that kubectl points at: `python -m tests.parity.record [--only NAME ...]`.

It deploys the application in its own namespace, which must be free, and gives the mesh back as `istio/mesh` leaves it.
Needs our images in the cluster, Istio with the providers of istio/install/demo.yaml, and Jaeger.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from tests.cluster.support import jaeger_url
from tests.parity import compare
from tests.parity.asking import Answer, ask_all, laid
from tests.parity.deployment import Deployed
from tests.parity.situations import APPLICATIONS, USER_AGENT, Application, Situation

RECORDED = Path(__file__).parent / "recorded"
PASSES = 3
# Envoy sends its spans every 5 s.
QUIET = 6.5
# istiod waits for more changes, then tells the proxies.
TOLD = 2.5
APART = 0.7


@dataclass(frozen=True)
class Run:
    """What came back within one window of time (microseconds since the epoch)."""

    situation: Situation
    trace: str
    answers: list[Answer]
    begin_us: int
    end_us: int

    @property
    def given(self) -> dict[str, str]:
        """What of a trace comes from the client."""
        return {"trace": self.trace}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--application", choices=[one.name for one in APPLICATIONS], default=APPLICATIONS[0].name)
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these situations alone")
    chosen = parser.parse_args(arguments)
    application = next(one for one in APPLICATIONS if one.name == chosen.application)
    # So that what was deployed goes, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    situations = [one for one in application.situations if not chosen.only or one.name in chosen.only]
    with jaeger_url() as jaeger, Deployed(application, say) as deployed:
        left = record(application, situations, deployed, jaeger)
    for one in left:
        say(f"not recorded: {one.name} answered differently each time")
    return 1 if left else 0


def say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def record(
    application: Application, situations: Iterable[Situation], deployed: Deployed, jaeger: str
) -> list[Situation]:
    """Record what is stable; the situations that were not, even when asked again."""
    left = list(situations)
    for number in range(PASSES):
        if not left:
            break
        say(f"pass {number + 1}: {len(left)} situations")
        again: list[Situation] = []
        for otel, languages in dict.fromkeys((one.otel, one.languages) for one in left):
            deployed.form(otel, dict(languages))
            these = [one for one in left if (one.otel, one.languages) == (otel, languages)]
            runs = [run for one in these for run in run_twice(one, deployed)]
            found = traces_of(application, runs, jaeger)
            again += [one for one in these if not _write(application, one, runs, found)]
        left = again
    return left


def run_twice(situation: Situation, deployed: Deployed) -> list[Run]:
    """Two runs, to see that nothing is on its way any more; only one of what its own requests change."""
    say(situation.name)
    for _ in range(PASSES):
        if deployed.lay(laid(situation.lay)):
            time.sleep(TOLD)
        deployed.switch(dict(situation.propagation))
        if not situation.once:
            ask_all(deployed.gateway, [replace(situation.requests[0], count=1)], secrets.token_hex(16))
        runs = [_run(situation, deployed) for _ in range(1 if situation.once else 2)]
        if deployed.holds():
            return runs
        say(f"{situation.name}: somebody wrote over the manifests, again")
    return []


def _run(situation: Situation, deployed: Deployed) -> Run:
    time.sleep(APART)
    begin, trace = time.time_ns() // 1000, secrets.token_hex(16)
    answers = ask_all(deployed.gateway, situation.requests, trace)
    time.sleep(situation.linger)
    return Run(situation, trace, answers, begin, time.time_ns() // 1000)


def traces_of(application: Application, runs: Sequence[Run], jaeger: str) -> Callable[[Run], list[dict[str, Any]]]:
    """The traces of each run, by when they began; waits until no more spans come."""
    begin = min(run.begin_us for run in runs)
    seen, since = -1, time.monotonic()
    found: list[dict[str, Any]] = []
    while time.monotonic() - since < QUIET:
        time.sleep(0.5)
        found = _ours(application, jaeger, begin)
        if sum(len(trace["spans"]) for trace in found) != seen:
            seen, since = sum(len(trace["spans"]) for trace in found), time.monotonic()

    def of(run: Run) -> list[dict[str, Any]]:
        return [one for one in found if run.begin_us <= min(s["startTime"] for s in one["spans"]) < run.end_us]

    return of


def _ours(application: Application, jaeger: str, begin_us: int) -> list[dict[str, Any]]:
    """What our requests left: traces with a sidecar of the application's namespace, or a gateway's with our mark."""
    suffix = f".{application.namespace}"
    found: dict[str, dict[str, Any]] = {}
    with httpx.Client(base_url=f"{jaeger}/api/", timeout=30, trust_env=False) as client:
        for service in client.get("services").json()["data"]:
            if service.endswith((suffix, ".istio-system")):
                query: dict[str, str | int] = {"service": service, "start": begin_us, "limit": 5000}
                for trace in client.get("traces", params=query).json()["data"]:
                    found[trace["traceID"]] = trace
    return [trace for trace in found.values() if _is_ours(trace, suffix)]


def _is_ours(trace: dict[str, Any], suffix: str) -> bool:
    marked = any(
        tag["key"] == "user_agent" and tag["value"] == USER_AGENT for span in trace["spans"] for tag in span["tags"]
    )
    return marked or any(process["serviceName"].endswith(suffix) for process in trace["processes"].values())


def _write(
    application: Application,
    situation: Situation,
    runs: Sequence[Run],
    traces: Callable[[Run], list[dict[str, Any]]],
) -> bool:
    """Write the last run of a situation, unless it told something else than the one before."""
    own = [run for run in runs if run.situation == situation]
    if not own:
        return False
    told = [compare.from_jaeger(traces(run)) for run in own]
    shapes = [(compare.shape(one, run.given), run.answers) for one, run in zip(told, own, strict=True)]
    if situation.tolerance is None and any(one != shapes[0] for one in shapes):
        say(f"{situation.name}: not the same twice, again")
        for line in compare.differences(shapes[-1][0], shapes[0][0])[:6]:
            say(f"  {line}")
        return False
    recording = {
        "situation": situation.name,
        **{key: value for key, value in asdict(situation).items() if key != "name"},
        "configuration": laid(situation.lay),
        "client_trace": own[-1].trace,
        "responses": own[-1].answers,
        **compare.examples(told[-1], own[-1].given, every=situation.tolerance is None),
    }
    folder = RECORDED / application.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{situation.name}.json").write_text(compare.dump(recording), encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main())
