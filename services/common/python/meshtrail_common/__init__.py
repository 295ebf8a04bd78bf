"""What the services share: header forwarding and its switch, settings, health, errors, logs, serving, telemetry."""
