"""What the demo, the end-to-end tests and the benchmarks share: kubectl, helm, Prometheus, waiting. Not for the product."""
