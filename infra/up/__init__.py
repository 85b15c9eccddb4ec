"""Object store, Ray, exporter and Prometheus on one machine: `python -m infra.up up|down|status`."""
