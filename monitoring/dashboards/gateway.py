"""What comes over HTTP, and how it is answered."""

from __future__ import annotations

from typing import Final

from monitoring.dashboards.answers import ANSWERS, WITHIN_A_SECOND
from monitoring.panels import Board, Curve, Curves, Number, Row, quantiles, rate

GATEWAY: Final = Board(
    "gateway",
    "Gateway",
    "The front door: requests, their answers, spectators, and the load balancer before them.",
    [
        Row(
            "Now",
            [
                Number("Gateways ready", "That take requests.", 'sum(boxoffice_ready{job="gateway"})'),
                Number("Requests a second", "Answered.", rate("boxoffice_requests_total"), decimals=0),
                Number("Waiting", "Commands that wait for their answers.", "sum(boxoffice_waiting_requests)"),
                Number(
                    "Within a second",
                    "Commands over HTTP that were answered so fast: 99.9% are promised.",
                    WITHIN_A_SECOND,
                    unit="percentunit",
                    decimals=1,
                ),
                Number("Callers", "That have a key.", "max(boxoffice_api_keys)"),
                Number("Spectators", "Streams that are open.", "sum(boxoffice_streams)"),
            ],
        ),
        Row(
            "Requests",
            [
                Curves(
                    "Requests by status",
                    "Answered in a second.",
                    [Curve(rate("boxoffice_requests_total", "status"), "{{status}}")],
                    stacked=True,
                ),
                Curves("How long callers wait", "From a command to its answer.", quantiles(ANSWERS), unit="s"),
                Curves(
                    "Waiting, by gateway",
                    "Commands that wait for their answers.",
                    [Curve("sum by (instance) (boxoffice_waiting_requests)", "{{instance}}")],
                    stacked=True,
                ),
                Curves(
                    "Facts not read yet",
                    "By gateway and live process: who is behind answers late.",
                    [Curve('sum by (instance) (boxoffice_lag_records{job=~"gateway|live"})', "{{instance}}")],
                ),
            ],
        ),
        Row(
            "The load balancer",
            [
                Curves(
                    "Servers that are up",
                    "By what haproxy's checks say.",
                    [Curve('sum by (proxy) (haproxy_server_status{proxy=~"gateways|live",state="UP"})', "{{proxy}}")],
                    decimals=0,
                ),
                Curves(
                    "Callers at haproxy",
                    "Connections that are open, and requests that wait for a gateway.",
                    [
                        Curve('sum(haproxy_frontend_current_sessions{proxy="front_door"})', "connections"),
                        Curve('sum(haproxy_backend_current_queue{proxy="gateways"})', "waiting"),
                    ],
                ),
            ],
        ),
        Row(
            "Spectators",
            [
                Curves(
                    "Streams",
                    "That are open, by live process.",
                    [Curve("sum by (instance) (boxoffice_streams)", "{{instance}}")],
                    stacked=True,
                ),
                Curves(
                    "Updates and beats",
                    "Sent in a second; viewers that were cut off, and turned away, since the processes began.",
                    [
                        Curve(rate("boxoffice_stream_sends_total"), "sent"),
                        Curve("sum(boxoffice_streams_cut_total)", "cut off"),
                        Curve("sum by (of) (boxoffice_streams_refused_total)", "turned away, of {{of}}"),
                    ],
                ),
                Curves(
                    "Events shown",
                    "By gateway and live process.",
                    [Curve("sum by (instance) (boxoffice_shown_events)", "{{instance}}")],
                ),
            ],
        ),
    ],
)
