"""The command line: one file a verb, thin over `saccade.api`; nothing heavy is imported before a verb needs it."""

from saccade.cli.dispatch import main

__all__ = ["main"]
