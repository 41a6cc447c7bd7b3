"""The report of a run: one HTML file, made from the run's folder alone, readable without network and without script."""

from saccade.report.run_report import write

__all__ = ["write"]
