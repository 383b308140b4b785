"""`make pictures`: what docs/images holds, drawn from a run of the demo on the local cluster.

Grafana itself is not needed: `grafana` is a page that draws panels of the dashboards with Grafana's own components, and
Chromium takes its picture. Queries, units, legends and overrides are those of the dashboards' files.
"""
