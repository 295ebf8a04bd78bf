"""Options that several commands share."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from meshtrail.errors import MeshtrailError

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_NAME = "default"
NAME_VARIABLE = "MESHTRAIL_NAME"
PORTS_VARIABLE = "MESHTRAIL_PORTS"

START_PARAMETERS = (
    "application",
    "form",
    "lang",
    "files",
    "ports",
    "gateway_port",
    "jaeger_port",
    "otlp_grpc_port",
    "otlp_http_port",
    "zipkin_port",
    "name",
    "store_file",
    "lenient",
    "root",
)
"""The parameters of `start_options`: they say which mesh to start on this machine."""


def name_option(command: Command) -> Command:
    return click.option(
        "--name",
        default=DEFAULT_NAME,
        envvar=NAME_VARIABLE,
        metavar="NAME",
        help="Which mesh (default: 'default').",
    )(command)


def start_options(command: Command) -> Command:
    """Everything that says which mesh to start; the command gets `options`, which makes the MeshOptions, instead."""
    port = click.IntRange(1, 65535)
    decorators = [
        click.argument("application", default="three-tier"),
        click.option(
            "--form", multiple=True, metavar="[SERVICE=]FORM", help="plain (default) or otel, for all or one service."
        ),
        click.option(
            "--lang", multiple=True, metavar="[SERVICE=]LANGUAGE",
            help="python (default), node, go, or polyglot: each service in another one where there is one.",
        ),
        click.option(
            "-f", "--filename", "files", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
            help="Manifest file or folder to lay over the application; watched.",
        ),
        click.option(
            "--ports", type=click.Choice(["auto"]), envvar=PORTS_VARIABLE, help="Choose every port that is not given."
        ),
        click.option("--gateway-port", type=port, help="Ingress gateway (8080)."),
        click.option("--jaeger-port", type=port, help="Jaeger's query API (16686)."),
        click.option("--otlp-grpc-port", type=port, help="OTLP over gRPC (4317)."),
        click.option("--otlp-http-port", type=port, help="OTLP over HTTP (4318)."),
        click.option("--zipkin-port", type=port, help="Zipkin (9411)."),
        click.option(
            "--name", default=DEFAULT_NAME, envvar=NAME_VARIABLE, help="Several meshes run side by side under names."
        ),
        click.option(
            "--store", "store_file", type=click.Path(path_type=Path), metavar="FILE",
            help="Keep traces in a file (default: in memory).",
        ),
        click.option("--lenient", is_flag=True, help="Warn of what the local mesh does not carry out, and go on."),
        click.option(
            "--root", type=click.Path(path_type=Path), metavar="DIR",
            help="The repository with k8s/ and istio/ (default: found from the working directory).",
        ),
    ]  # fmt: skip

    @functools.wraps(command)
    def wrapped(
        application: str,
        form: tuple[str, ...],
        lang: tuple[str, ...],
        files: tuple[Path, ...],
        ports: str | None,
        gateway_port: int | None,
        jaeger_port: int | None,
        otlp_grpc_port: int | None,
        otlp_http_port: int | None,
        zipkin_port: int | None,
        name: str,
        store_file: Path | None,
        lenient: bool,
        root: Path | None,
        **others: Any,
    ) -> Any:
        from meshtrail.local.building import build
        from meshtrail.local.options import MeshOptions

        chosen = functools.partial(
            MeshOptions.of,
            application_name=application,
            form=form,
            lang=lang,
            files=files,
            auto_ports=ports == "auto",
            ports={
                "gateway": gateway_port,
                "query": jaeger_port,
                "otlp_grpc": otlp_grpc_port,
                "otlp_http": otlp_http_port,
                "zipkin": zipkin_port,
            },
            name=name,
            store_file=store_file,
            lenient=lenient,
            root=root,
        )

        def options() -> MeshOptions:
            checked = chosen()
            build(checked, lambda sentence: click.echo(f"  {sentence}", err=True))
            return checked

        return command(options=options, **others)

    result: Any = wrapped
    for decorator in reversed(decorators):
        result = decorator(result)
    return result  # type: ignore[no-any-return]


def manifest_options(command: Command) -> Command:
    """`-f`, `-k`, `-n` and `--lenient` as kubectl has them; the command gets `documents` for the control API."""

    @click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        metavar="FILE",
        help="Manifest file, folder, or - for standard input.",
    )
    @click.option(
        "-k",
        "--kustomize",
        "kustomizations",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder with a kustomization.",
    )
    @click.option(
        "-n",
        "--namespace",
        default="",
        help="For objects that name none (default: the application's).",
    )
    @click.option("--lenient", is_flag=True, help="Warn of what the local mesh does not carry out, and go on.")
    @functools.wraps(command)
    def wrapped(
        files: tuple[str, ...], kustomizations: tuple[Path, ...], namespace: str, lenient: bool, **others: Any
    ) -> Any:
        documents = read_documents(files) + [_folder(path) for path in kustomizations]
        if not documents:
            raise click.UsageError("nothing to do: name a manifest with -f FILE or -k DIR")
        request = {"documents": documents, "namespace": namespace, "lenient": lenient}
        return command(request=request, **others)  # fmt: skip

    return wrapped  # type: ignore[return-value]


def read_documents(files: Sequence[str]) -> list[dict[str, str]]:
    """What travels to the running mesh: the text of a file, the path of a folder. Raises MeshtrailError."""
    documents = []
    for file in files:
        path = Path(file)
        if file != "-" and path.is_dir():
            documents.append(_folder(path))
            continue
        try:
            data = sys.stdin.buffer.read() if file == "-" else path.read_bytes()
            documents.append({"name": "standard input" if file == "-" else file, "text": data.decode("utf-8")})
        except OSError as error:
            raise MeshtrailError(f"-f {file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise MeshtrailError(f"-f {file}: not UTF-8 text") from None
    return documents


def _folder(path: Path) -> dict[str, str]:
    if not path.is_dir():
        raise MeshtrailError(f"-k {path}: no such folder")
    return {"name": str(path), "path": os.path.realpath(path)}
