"""The database service of the three-tier application."""

from meshtrail_common import environment as environment
