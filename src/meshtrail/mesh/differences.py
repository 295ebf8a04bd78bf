"""What the local mesh does not do as a cluster does, and a person can notice. One list: the parity tests know no other.

`python -m meshtrail.mesh.differences docs/local-mesh-config.md` writes it into the page; a test holds the page to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshtrail import generated


@dataclass(frozen=True, slots=True)
class Difference:
    """`cluster` and `laptop` say what happens there and here."""

    name: str
    cluster: str
    laptop: str
    why: str


DIFFERENCES = (
    Difference(
        "identity",
        "an AuthorizationPolicy may ask who the caller is (`from`, `source.*`, `request.auth.*`)",
        "refused, with the field; what asks about the request alone is carried out",
        "a caller's identity comes from mutual TLS, and nothing leaves the machine",
    ),
    Difference(
        "mutual-tls",
        "PeerAuthentication `STRICT` refuses callers without a sidecar, and services see `x-forwarded-client-cert`",
        "no effect, no such header",
        "as above",
    ),
    Difference(
        "called-address",
        "an SDK's client span has the address that the manifest names, `http://backend:8080`, in `url.full` and "
        "`server.address`",
        "it has the sidecar's listener, `http://127.0.0.1:<port>`; names, parents and all of the sidecars are the same",
        "there are no service addresses on a laptop to catch calls at",
    ),
    Difference(
        "tcp-host",
        "behind a TCP port an application sees `Host: database:8080`",
        "it sees `Host: 127.0.0.1:<port>`",
        "nothing rewrites a TCP stream",
    ),
)


def table() -> str:
    rows = [f"| {one.cluster} | {one.laptop} | {one.why} |" for one in DIFFERENCES]
    return "\n".join(["| on a cluster | on a laptop | why |", "|---|---|---|", *rows])


def render(page: str) -> str:
    """The page with the table renewed. Raises ValueError when its place is missing."""
    return generated.renewed(page, {"differences": table()})


if __name__ == "__main__":
    generated.write(render)
