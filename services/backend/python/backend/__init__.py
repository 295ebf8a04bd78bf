"""The backend service of the three-tier application."""
