"""Requests with text that is not UTF-8.

A sidecar puts header values into attributes, and a header may hold any byte. Python's protobuf refuses the whole
request then, where Go's does not look; losing all spans of a proxy for one odd user agent would be a lie about the
mesh. So such a request is read a second time with a schema in which text is bytes, and what is not UTF-8 becomes
U+FFFD.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

_Field = descriptor_pb2.FieldDescriptorProto


def with_mended_text(data: bytes) -> bytes | None:
    """The encoded request with broken text mended; None when it is malformed in another way."""
    try:
        loose = _loose_request_class().FromString(data)
    except DecodeError:
        return None
    _mend(loose)
    return loose.SerializeToString()


@cache
def _loose_request_class() -> type[Message]:
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, trace_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            _loosen(message)
        pool.Add(file)
    name = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR.full_name
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def _loosen(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type == _Field.TYPE_STRING:
            field.type = _Field.TYPE_BYTES
    for nested in message.nested_type:
        _loosen(nested)


def _mend(message: Message) -> None:
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if _repeated(field) else [value]:
                _mend(child)
        elif field.type == field.TYPE_BYTES and field.full_name not in _BYTES_FIELDS:
            if _repeated(field):
                value[:] = [_valid(item) for item in value]
            else:
                setattr(message, field.name, _valid(value))


def _repeated(field: FieldDescriptor) -> bool:
    return bool(field.is_repeated)


def _valid(text: bytes) -> bytes:
    return text.decode(errors="replace").encode()


_BYTES_FIELDS = frozenset(
    field.full_name
    for module in (common_pb2, trace_pb2)
    for message in module.DESCRIPTOR.message_types_by_name.values()
    for descriptor in (message, *message.nested_types)
    for field in descriptor.fields
    if field.type == field.TYPE_BYTES
)
