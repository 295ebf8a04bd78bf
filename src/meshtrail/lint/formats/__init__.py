"""The ways to write a report: for a person, as JSON, as SARIF, as GitHub's workflow commands."""
