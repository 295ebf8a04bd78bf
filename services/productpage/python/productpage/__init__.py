"""The productpage service of Bookinfo."""

from meshtrail_common import environment as environment
