"""What a running worker tells about itself: `/metrics` for Prometheus and `/healthz`."""
