"""The report: what a week looked like, one page made from the records alone."""

from __future__ import annotations

from wattquorum.lab.report.page import write_report

__all__ = ["write_report"]
