"""TLS that a proxy speaks to a host outside the mesh, in the place of the application."""

from __future__ import annotations

import ssl

from meshtrail.envoy.proxy import TYPE, Config

NAME = "envoy.transport_sockets.tls"


def originating(server: str, *, verify: bool) -> Config:
    """The transport socket of a cluster whose hosts speak TLS and have a certificate for `server`.

    It is checked against the certificates of the system, as OpenSSL finds them: SSL_CERT_FILE names others.
    """
    context: Config = {}
    if verify:
        exactly = {"san_type": "DNS", "matcher": {"exact": server}}
        context["validation_context"] = {
            "trusted_ca": {"filename": authorities()},
            "match_typed_subject_alt_names": [exactly],
        }
    return {
        "name": NAME,
        "typed_config": {
            "@type": f"{TYPE}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": context,
            "sni": server,
        },
    }


def authorities() -> str:
    """The file with the certificates that this machine trusts; those of certifi where the system keeps no such file."""
    found = ssl.get_default_verify_paths().cafile
    if found:
        return found
    import certifi

    return certifi.where()
