"""The reviews service of Bookinfo."""

from meshtrail_common import environment as environment
