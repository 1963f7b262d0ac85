"""What Grafana shows of a box office: seven dashboards, from the sale down to the machine, a file for each.

``$__rate_interval`` is Grafana's own: at least four scrapes.
"""

from __future__ import annotations

from typing import Final

from monitoring.dashboards.documents import DOCUMENTS
from monitoring.dashboards.gateway import GATEWAY
from monitoring.dashboards.holds import HOLDS
from monitoring.dashboards.machine import MACHINE
from monitoring.dashboards.redis import REDIS
from monitoring.dashboards.selling import SELLING
from monitoring.dashboards.workers import WORKERS

BOARDS: Final = (SELLING, HOLDS, WORKERS, REDIS, DOCUMENTS, GATEWAY, MACHINE)
