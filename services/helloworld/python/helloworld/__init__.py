"""The helloworld service."""

from meshtrail_common import environment as environment
