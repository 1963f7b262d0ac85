"""The demo: one event, a thousand tickets, thirteen hundred commands, and every outcome checked."""

from boxoffice.demo.checking import DemoReport
from boxoffice.demo.running import Demo, Reached, Show, run_demo

__all__ = ["Demo", "DemoReport", "Reached", "Show", "run_demo"]
