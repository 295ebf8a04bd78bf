"""The frontend service of the three-tier application."""
