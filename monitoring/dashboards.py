"""What Grafana shows of a box office: six dashboards, from the sale down to the machine.

``$__rate_interval`` is Grafana's own: at least four scrapes.
"""

from __future__ import annotations

from typing import Final

from monitoring.panels import Board, Curve, Curves, Number, Row, mean, quantiles, rate

_ANSWERS: Final = "boxoffice_answer_duration_seconds"
_WITHIN_A_SECOND: Final = rate(f'{_ANSWERS}_bucket{{le="1.0"}}') + " / " + rate(f"{_ANSWERS}_count")
_SOLD_A_SECOND: Final = "clamp_min(sum(deriv(boxoffice_tickets_sold[$__rate_interval])), 0)"

SELLING: Final = Board(
    "selling",
    "Selling",
    "What is sold, how fast, what comes of the commands, and how long callers wait.",
    [
        Row(
            "The sale",
            [
                Number("Sold", "Tickets that buyers hold, of all events.", "sum(boxoffice_tickets_sold)"),
                Number(
                    "Left",
                    "Tickets that nobody holds, also those of sales that are closed.",
                    "sum(boxoffice_tickets_issued) - sum(boxoffice_tickets_sold)",
                ),
                Number("Tickets a second", "Sold, less those that were given back.", _SOLD_A_SECOND, decimals=0),
                Number(
                    "Answered a second",
                    "Commands, whatever came of them.",
                    rate("boxoffice_decisions_total"),
                    decimals=0,
                ),
                Number(
                    "Waiting",
                    "Commands that are not decided yet.",
                    'sum(boxoffice_lag_records{job="purchases"})',
                ),
                Number(
                    "Within a second",
                    "Commands over HTTP that were answered so fast: 99.9% are promised.",
                    _WITHIN_A_SECOND,
                    unit="percentunit",
                    decimals=1,
                ),
                Curves(
                    "Sold and left",
                    "Tickets of all events.",
                    [
                        Curve("sum(boxoffice_tickets_sold)", "sold"),
                        Curve("sum(boxoffice_tickets_issued) - sum(boxoffice_tickets_sold)", "left"),
                    ],
                    stacked=True,
                ),
                Curves(
                    "Outcomes",
                    "Commands answered in a second, by what came of them.",
                    [Curve(rate("boxoffice_decisions_total", "outcome"), "{{outcome}}")],
                    stacked=True,
                ),
                Curves(
                    "Refusals",
                    "Commands refused in a second, by why.",
                    [Curve(rate('boxoffice_decisions_total{reason!=""}', "reason"), "{{reason}}")],
                    stacked=True,
                ),
                Curves(
                    "Who decides",
                    "Redis; the table alone while Redis is away, is brought up, or does not know the event yet.",
                    [Curve(rate('boxoffice_decisions_total{decided_by!=""}', "decided_by"), "{{decided_by}}")],
                    stacked=True,
                ),
                Curves(
                    "How long callers wait",
                    "From a command that came over HTTP to its answer.",
                    quantiles(_ANSWERS),
                    unit="s",
                ),
                Curves(
                    "Commands that wait",
                    "Those that are not decided yet, and how many are decided in ten seconds: no more may wait.",
                    [
                        Curve('sum(boxoffice_lag_records{job="purchases"})', "waiting"),
                        Curve("10 * " + rate("boxoffice_decisions_total"), "ten seconds' worth"),
                    ],
                ),
            ],
        ),
        Row(
            "What is promised",
            [
                Curves(
                    "How fast the room for failing is used up",
                    "1 uses up a month's room in a month; 14.4 wakes somebody within an hour, 6 within six.",
                    [
                        Curve("boxoffice:answers_late:ratio1h / 0.001", "answers, an hour"),
                        Curve("boxoffice:commands_late:ratio1h / 0.005", "commands, an hour"),
                        Curve("boxoffice:unaudited:ratio1h / 0.01", "audit, an hour"),
                    ],
                ),
                Curves(
                    "Alerts",
                    "What is wrong, by how many of it.",
                    [Curve('count by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}")],
                    stacked=True,
                    decimals=0,
                ),
            ],
        ),
    ],
)

WORKERS: Final = Board(
    "workers",
    "Workers and Kafka",
    "Who decides, how far each partition is, and what Kafka takes of the time.",
    [
        Row(
            "Now",
            [
                Number("Workers", "Purchases processes that answer.", 'sum(up{job="purchases"})'),
                Number("Partitions ready", "Taken over, and decided.", 'sum(boxoffice_partitions{state="ready"})'),
                Number(
                    "Refused",
                    "Partitions on which nothing is decided.",
                    'sum(boxoffice_partitions{state="refused"})',
                    alarming_from=1,
                ),
                Number(
                    "Waiting for a leader",
                    "Partitions of which the brokers are gone.",
                    'sum(boxoffice_partitions{state="waiting"})',
                    alarming_from=1,
                ),
                Number(
                    "Without Kafka",
                    "Processes that cannot reach it.",
                    'sum(boxoffice_waits_for{server="Kafka"})',
                    alarming_from=1,
                ),
                Number(
                    "Dead letters owed",
                    "Unreadable commands that could not be kept yet.",
                    "sum(boxoffice_dead_letters_owed)",
                    alarming_from=1,
                ),
            ],
        ),
        Row(
            "Deciding",
            [
                Curves(
                    "Commands a second, by worker",
                    "Who has no partition has none.",
                    [Curve(rate("boxoffice_decisions_total", "instance"), "{{instance}}")],
                    stacked=True,
                ),
                Curves(
                    "Waiting, by partition",
                    "Commands that are not decided yet. One partition that grows alone has a hot event, or a flood.",
                    [Curve('sum by (partition) (boxoffice_lag_records{job="purchases"})', "{{partition}}")],
                    stacked=True,
                ),
                Curves(
                    "Commands decided at once",
                    "The more wait, the more go into a batch.",
                    [Curve(mean("boxoffice_batch_commands"), "mean")],
                ),
                Curves(
                    "A batch, until it is published",
                    "Deciding, and Redis.",
                    quantiles("boxoffice_batch_duration_seconds"),
                    unit="s",
                ),
                Curves(
                    "Publishing",
                    "Until the broker has acknowledged a batch's facts.",
                    quantiles("boxoffice_publish_duration_seconds"),
                    unit="s",
                ),
                Curves(
                    "The ledger",
                    "Its records, of all partitions.",
                    [Curve("sum(max by (partition) (boxoffice_ledger_records))", "facts")],
                ),
            ],
        ),
        Row(
            "Changes and strangers",
            [
                Curves(
                    "Take-overs",
                    "Times that partitions were taken over, in a quarter of an hour.",
                    [Curve("sum by (instance) (increase(boxoffice_recoveries_total[15m]))", "{{instance}}")],
                ),
                Curves(
                    "How long a take-over takes",
                    "The mean since the workers began: mostly the reading of ledgers.",
                    [
                        Curve(
                            "sum(boxoffice_recovery_duration_seconds_sum)"
                            " / sum(boxoffice_recovery_duration_seconds_count)",
                            "mean",
                        )
                    ],
                    unit="s",
                ),
                Curves(
                    "Forwards",
                    "Commands a second: found away from home, second copies of them, and with origins not believed.",
                    [
                        Curve(rate("boxoffice_forwarded_commands_total"), "forwarded"),
                        Curve(rate("boxoffice_second_copies_total"), "second copies"),
                        Curve(rate("boxoffice_false_origins_total"), "false origins"),
                    ],
                ),
                Curves(
                    "Unreadable",
                    "Records that went to dead-letters, damaged ones of the ledger, and strangers' by topic.",
                    [
                        Curve("sum by (process) (boxoffice_dead_letters_total)", "dead letters, {{process}}"),
                        Curve("sum(boxoffice_damaged_ledger_records_total)", "damaged"),
                        Curve("sum by (topic) (boxoffice_strange_records_total)", "strange, {{topic}}"),
                    ],
                ),
            ],
        ),
    ],
)

REDIS: Final = Board(
    "redis",
    "Redis and fallback",
    "Whether Redis decides, what it costs, and how far its copies are.",
    [
        Row(
            "Now",
            [
                Number(
                    "Without Redis",
                    "Workers that decide from their tables alone.",
                    "sum(boxoffice_fallback_active)",
                    alarming_from=1,
                ),
                Number("Backlog", "Facts that Redis has missed, and will be told.", "sum(boxoffice_backlog_facts)"),
                Number("In step", "Events that Redis decides.", 'sum(boxoffice_event_copies{state="in_step"})'),
                Number(
                    "Given up",
                    "Events that only the table decides, until somebody has looked.",
                    "sum(boxoffice_events_given_up)",
                    alarming_from=1,
                ),
                Number(
                    "Divergences",
                    "Times that Redis decided otherwise than the ledger, in the last hour.",
                    "sum(increase(boxoffice_redis_divergences_total[1h]))",
                    decimals=0,
                    alarming_from=1,
                ),
                Number(
                    "Decided by Redis",
                    "Of the commands that an event decides.",
                    rate('boxoffice_decisions_total{decided_by="redis"}')
                    + " / "
                    + rate('boxoffice_decisions_total{decided_by!=""}'),
                    unit="percentunit",
                    decimals=1,
                ),
            ],
        ),
        Row(
            "Redis",
            [
                Curves(
                    "Fallback",
                    "1 while a worker decides without Redis.",
                    [Curve("max by (instance) (boxoffice_fallback_active)", "{{instance}}")],
                    decimals=0,
                ),
                Curves(
                    "A round trip",
                    "One call for all events of a batch.",
                    quantiles("boxoffice_redis_call_duration_seconds"),
                    unit="s",
                ),
                Curves(
                    "Calls that Redis did not serve",
                    "In a second, by its error.",
                    [Curve(rate("boxoffice_redis_errors_total", "error"), "{{error}}")],
                    stacked=True,
                ),
                Curves(
                    "Times that it was given up",
                    "Since the workers began.",
                    [Curve("sum by (instance) (boxoffice_fallbacks_total)", "{{instance}}")],
                    decimals=0,
                ),
                Curves(
                    "Copies",
                    "Events, by how their keys in Redis stand to the ledger.",
                    [Curve("sum by (state) (boxoffice_event_copies)", "{{state}}")],
                    stacked=True,
                ),
                Curves(
                    "Bringing it up",
                    "Facts that Redis has missed, and events loaded anew in a minute.",
                    [
                        Curve("sum(boxoffice_backlog_facts)", "backlog"),
                        Curve("60 * " + rate("boxoffice_event_rebuilds_total"), "rebuilds"),
                    ],
                ),
            ],
        ),
    ],
)

DOCUMENTS: Final = Board(
    "documents",
    "Documents",
    "The PDF tickets and the statistics: what is made, and what waits.",
    [
        Row(
            "Now",
            [
                Number("To be made", "Documents that wait.", "sum(boxoffice_documents_waiting)"),
                Number("Made a second", "Stored and announced.", rate("boxoffice_documents_made_total"), decimals=1),
                Number(
                    "Failed",
                    "That could not be made, in the last hour.",
                    "sum(increase(boxoffice_documents_failed_total[1h]))",
                    decimals=0,
                    alarming_from=1,
                ),
                Number(
                    "Flawed",
                    "Made with something that cannot be read, in the last hour.",
                    "sum(increase(boxoffice_documents_flawed_total[1h]))",
                    decimals=0,
                    alarming_from=1,
                ),
                Number(
                    "Size",
                    "Of a document, on the average since the processes began.",
                    "sum(boxoffice_document_bytes_total) / sum(boxoffice_documents_made_total)",
                    unit="bytes",
                ),
                Number(
                    "Waits for a server",
                    "Kafka or the document store, by either process.",
                    'sum(boxoffice_waits_for{job=~"documents|stats"})',
                    alarming_from=1,
                ),
            ],
        ),
        Row(
            "Documents",
            [
                Curves(
                    "Made and waiting",
                    "Made in a second, and how many wait.",
                    [
                        Curve(rate("boxoffice_documents_made_total"), "made"),
                        Curve("sum(boxoffice_documents_waiting)", "waiting"),
                    ],
                ),
                Curves("Drawing one", "Without its storing.", quantiles("boxoffice_render_duration_seconds"), unit="s"),
                Curves(
                    "Removed",
                    "By why, since the processes began: cancelled, or long over.",
                    [Curve("sum by (why) (boxoffice_documents_removed_total)", "{{why}}")],
                ),
                Curves(
                    "Stored",
                    "Bytes a second.",
                    [Curve(rate("boxoffice_document_bytes_total"), "stored")],
                    unit="Bps",
                ),
                Curves(
                    "Facts not dealt with",
                    "On the ledger, by process.",
                    [Curve('sum by (job) (boxoffice_lag_records{job=~"documents|stats"})', "{{job}}")],
                ),
                Curves(
                    "Facts counted",
                    "In a second, into the statistics.",
                    [Curve(rate("boxoffice_statistics_facts_total"), "facts")],
                ),
            ],
        ),
    ],
)

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
                    _WITHIN_A_SECOND,
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
                Curves("How long callers wait", "From a command to its answer.", quantiles(_ANSWERS), unit="s"),
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

MACHINE: Final = Board(
    "machine",
    "The machine",
    "What the processes take of it, whether they live, and what the audit found.",
    [
        Row(
            "Now",
            [
                Number("Answering", "Processes that Prometheus reaches.", "sum(up)"),
                Number("Not answering", "Processes that it does not.", "count(up == 0) or vector(0)", alarming_from=1),
                Number("CPU", "Cores that all processes use.", rate("process_cpu_seconds_total"), decimals=2),
                Number("Memory", "Of all processes.", "sum(process_resident_memory_bytes)", unit="bytes"),
                Number(
                    "Differences", "That the last audit found.", "max(boxoffice_audit_differences)", alarming_from=1
                ),
                Number(
                    "Last audit",
                    "How long ago a whole one ended: two hours at most are promised.",
                    "time() - max(boxoffice_audit_timestamp_seconds > 0)",
                    unit="s",
                    alarming_from=7_200,
                ),
            ],
        ),
        Row(
            "Machines",
            [
                Curves(
                    "CPU by machine",
                    "Of all its cores.",
                    [
                        Curve(
                            '1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[$__rate_interval]))',
                            "{{instance}}",
                        )
                    ],
                    unit="percentunit",
                    most=1,
                ),
                Curves(
                    "Memory by machine",
                    "What nobody could have any more.",
                    [Curve("1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{{instance}}")],
                    unit="percentunit",
                    most=1,
                ),
                Curves(
                    "Disks",
                    "How full they are: somebody is woken at 95%.",
                    [
                        Curve(
                            "1 - max by (instance, mountpoint) ("
                            'node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"} / node_filesystem_size_bytes)',
                            "{{instance}} {{mountpoint}}",
                        )
                    ],
                    unit="percentunit",
                    most=1,
                ),
                Curves(
                    "Disks at work",
                    "How much of the time.",
                    [Curve(rate("node_disk_io_time_seconds_total", "instance, device"), "{{instance}} {{device}}")],
                    unit="percentunit",
                    most=1,
                ),
                Curves(
                    "Network",
                    "Bytes a second, by machine; without what it says to itself.",
                    [
                        Curve(rate('node_network_receive_bytes_total{device!="lo"}', "instance"), "{{instance}} in"),
                        Curve(rate('node_network_transmit_bytes_total{device!="lo"}', "instance"), "{{instance}} out"),
                    ],
                    unit="Bps",
                ),
            ],
        ),
        Row(
            "Processes",
            [
                Curves(
                    "CPU by process",
                    "Cores, without those processes in which documents draws.",
                    [Curve(rate("process_cpu_seconds_total", "job, instance"), "{{job}} {{instance}}")],
                    stacked=True,
                    decimals=2,
                ),
                Curves(
                    "Memory by process",
                    "Resident.",
                    [Curve("sum by (job, instance) (process_resident_memory_bytes)", "{{job}} {{instance}}")],
                    unit="bytes",
                    stacked=True,
                ),
                Curves(
                    "Open files",
                    "Of those that the system allows: connections are files.",
                    [Curve("process_open_fds / process_max_fds", "{{job}} {{instance}}")],
                    unit="percentunit",
                ),
                Curves(
                    "Garbage collections",
                    "In a second, by process.",
                    [Curve(rate("python_gc_collections_total", "job, instance"), "{{job}} {{instance}}")],
                ),
                Curves(
                    "Running for",
                    "Since its start, each process.",
                    [Curve("time() - process_start_time_seconds", "{{job}} {{instance}}")],
                    unit="s",
                ),
                Curves(
                    "Live and ready",
                    "Processes that are, by kind.",
                    [
                        Curve("sum by (job) (boxoffice_live)", "{{job}}, live"),
                        Curve("sum by (job) (boxoffice_ready)", "{{job}}, ready"),
                    ],
                    decimals=0,
                ),
                Curves(
                    "Releases",
                    "Processes, by the release that they are of, and their Python.",
                    [
                        Curve("count by (version) (boxoffice_build_info)", "boxoffice {{version}}"),
                        Curve("count by (version) (python_info)", "Python {{version}}"),
                    ],
                    decimals=0,
                ),
                Curves(
                    "Audits",
                    "By outcome, since the process began, and what the last one took in seconds.",
                    [
                        Curve("sum by (outcome) (boxoffice_audits_total)", "{{outcome}}"),
                        Curve("max(boxoffice_audit_duration_seconds)", "seconds"),
                    ],
                ),
            ],
        ),
    ],
)

BOARDS: Final = (SELLING, WORKERS, REDIS, DOCUMENTS, GATEWAY, MACHINE)
