"""The processes, and the machines that they run on."""

from __future__ import annotations

from typing import Final

from monitoring.panels import Board, Curve, Curves, Number, Row, rate

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
