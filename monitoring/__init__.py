"""What operators see and are told: Grafana's dashboards and the page of all alerts, made and checked in.

``docker/prometheus/rules/`` has the rules themselves. Nothing of this is part of the product: it needs the packages of
development.
"""
