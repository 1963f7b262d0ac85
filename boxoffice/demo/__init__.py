"""The demo: one event, a thousand tickets, thirteen hundred commands, and every outcome checked."""

from boxoffice.demo.checking import DemoReport
from boxoffice.demo.running import Demo, Show, run_demo

__all__ = ["Demo", "DemoReport", "Show", "run_demo"]
