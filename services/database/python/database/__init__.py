"""The database service of the three-tier application."""
