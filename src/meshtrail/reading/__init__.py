"""Reading traces from a Jaeger query API and drawing them."""
