"""`python -m saccade`, the same as `saccade`."""

import sys

from saccade.cli import main

if __name__ == "__main__":
    sys.exit(main())
