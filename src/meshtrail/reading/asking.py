"""GET requests for JSON to a Jaeger; whatever fails is a sentence that says which address, how, and what mends it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any

import httpx

from meshtrail.errors import MeshtrailError
from meshtrail.reading.access import Access

PATIENCE_S = 3.0
BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
PROTOBUF = "application/x-protobuf"
ADDRESS = "give the address of a Jaeger query service (port 16686), with its base path if it has one"


class JaegerError(MeshtrailError):
    """Jaeger could not be asked, or did not answer as Jaeger does."""


class OtherApiError(JaegerError):
    """Something answered, and not as this API does; another one may be spoken there."""


class Asking:
    """`timeout_s` bounds each call. Not for several threads at once."""

    def __init__(self, access: Access, timeout_s: float) -> None:
        self.access = access
        self._http = access.client(timeout_s)
        self._timeout_s = timeout_s

    def close(self) -> None:
        self._http.close()

    def get(
        self, path: str, query: Mapping[str, Any] | None = None, *, absent: tuple[int, ...] = (), accept: str = "*/*"
    ) -> Any:
        """The decoded answer; None for a status in `absent` with an error that is Jaeger's own (`trace not found`).

        Bytes when the server took the offer of `accept` (PROTOBUF); most give JSON all the same.

        Raises JaegerError; OtherApiError when the answer is none of this API's.
        """
        response = self._response(self.access.url + path, query, accept)
        if response.status_code == 200 and response.headers.get("content-type", "").startswith(PROTOBUF):
            return response.content
        data = _decoded(response.text)
        said = message(data)
        if response.status_code in absent and said:
            return None
        if response.status_code != 200:
            raise self._refused(path, response, said)
        if data is None:
            if "html" in response.headers.get("content-type", ""):
                raise self._web_page(path, response.text)
            raise self.not_jaeger(path, "no complete JSON")
        return data

    def not_jaeger(self, path: str, detail: str) -> OtherApiError:
        return OtherApiError(
            f"{self.access.url}{path} does not answer as Jaeger's query API does: {self.access.hidden(detail)}",
            mend=ADDRESS,
        )

    def _web_page(self, path: str, page: str) -> OtherApiError:
        """Jaeger gives its page for every path that it does not know; the page names its base path."""
        error = self.not_jaeger(path, "a web page")
        base = re.search(r'<base href="(/[^"\s<>]{1,100})"', page)
        if base and "Jaeger" in page:
            host = httpx.URL(self.access.url).copy_with(path=base[1])
            error = OtherApiError(error.message, mend=f"its page names its base path: {str(host).rstrip('/')}")
        return error

    def _response(self, address: str, query: Mapping[str, Any] | None, accept: str) -> httpx.Response:
        access = self.access
        try:
            return self._patient(address, query, accept)
        except httpx.TimeoutException as error:
            raise JaegerError(
                f"{address} did not answer within {self._timeout_s:g} s",
                mend="is Jaeger overloaded? narrow the search with --service, or ask for one trace id",
            ) from error
        except httpx.ConnectError as error:
            text = access.hidden(str(error))
            if "CERTIFICATE_VERIFY_FAILED" in text:
                raise JaegerError(
                    f"the certificate of {access.host} is not trusted: {_tls_reason(text)}",
                    mend="name the authority that signed it with --ca-file FILE",
                ) from error
            if "SSL" in text or "TLS" in text:
                raise JaegerError(f"no TLS with {access.url}: {text}", mend="is it http:// that it speaks?") from error
            raise JaegerError(
                f"nothing answers at {access.url}: {text}",
                mend="start a mesh with `meshtrail up`, or give the address of a Jaeger with --jaeger",
            ) from error
        except httpx.HTTPError as error:
            text = access.hidden(str(error)) or type(error).__name__
            if _wants_certificate(text):
                raise JaegerError(
                    f"{access.url} wants a client certificate, or another one: {text}",
                    mend="give one that it knows with --cert FILE --key FILE",
                ) from error
            raise JaegerError(
                f"{address} broke off: {text}",
                mend="is this the query port (16686), not a port that takes spans in (4317, 4318, 9411)?",
            ) from error

    def _patient(self, address: str, query: Mapping[str, Any] | None, accept: str) -> httpx.Response:
        """A GET, asked again for `PATIENCE_S` when the connection broke.

        A kept one may be closed just as the request goes out; and kubectl ends a port-forward whose connection broke,
        which is started again and takes a moment. What refuses the first connection is not there: no patience.
        """
        try:
            return self._http.get(address, params=query, headers={"accept": accept})
        except BROKEN as error:
            if _wants_certificate(str(error)):
                raise
            patience = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._http.get(address, params=query, headers={"accept": accept})
            except (*BROKEN, httpx.ConnectError):
                if time.monotonic() > patience:
                    raise
                time.sleep(0.1)

    def _refused(self, path: str, response: httpx.Response, said: str) -> JaegerError:
        status = response.status_code
        detail = f": {self.access.hidden(said)}" if said else ""
        login = "with --user NAME:PASSWORD, --token TOKEN or --header 'Name: value'"
        known = bool(self.access.user or self.access.token or self.access.headers)
        mends = {
            401: f"what was given is not accepted: look at it, or log in {login}" if known else f"log in {login}",
            403: f"who asks may not read here; log in as someone who may, {login}",
            404: "is this the query port (16686)? is there a base path to add (http://host/jaeger)?",
            407: "a proxy on the way wants a login: name it in HTTPS_PROXY with its user, or take NO_PROXY",
            429: "it is asked too often; wait, or narrow the search with --service, --since or --limit",
        }
        mend = "see Jaeger's own log" if status >= 500 else mends.get(status, "is this the query address of a Jaeger?")
        if response.is_redirect:
            mend = self._moved(response.headers.get("location", "nowhere"))
        # What is no error of Jaeger's own: another API may be spoken there, or none.
        kind = OtherApiError if status in (404, 405, 501) and not said else JaegerError
        return kind(f"{self.access.url}{path} answered {status}{detail}", mend=mend)

    def _moved(self, location: str) -> str:
        # What stands behind the question mark may be a token of whoever sent us there.
        location = self.access.hidden(location.partition("?")[0])
        if any(word in location.lower() for word in ("login", "auth", "oauth", "sso", "signin")):
            return (
                f"it sends whoever has not logged in to {location}: a token with --token, or past it with "
                "kubectl port-forward"
            )
        return f"it points to {location}: give the final address"


def message(data: object) -> str:
    """What an error body of Jaeger says, "" when it is none.

    Classic: `{"data": null, "errors": [{"code": 404, "msg": "trace not found"}]}`; v3: `{"error": {"httpCode": 404,
    "message": "No traces found"}}`.
    """
    if not isinstance(data, dict):
        return ""
    errors, error = data.get("errors"), data.get("error")
    if isinstance(errors, list) and errors:
        first = errors[0]
        return str(first.get("msg", "") if isinstance(first, dict) else first)[:200] or "an error"
    if isinstance(error, dict) and "message" in error:
        return str(error["message"])[:200] or "an error"
    return ""


def _decoded(text: str) -> Any:
    """The JSON; a list of all when several stand one after the other, as a streamed v3 answer; None when it is none."""
    try:
        return json.loads(text)
    except RecursionError:
        return None
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            return None
    found, at, decoder = [], 0, json.JSONDecoder()
    try:
        while at < len(text):
            one, at = decoder.raw_decode(text, at)
            found.append(one)
            while at < len(text) and text[at] in " \t\r\n":
                at += 1
    except (ValueError, RecursionError):
        return None
    return found


def _wants_certificate(text: str) -> bool:
    """OpenSSL's word for the alert of a server that does not know the client."""
    return "ALERT" in text.upper() and "certificate" in text.lower()


def _tls_reason(text: str) -> str:
    """`self-signed certificate` of OpenSSL's long line."""
    return text.partition("verify failed:")[2].strip().rpartition(" (_ssl")[0] or text
