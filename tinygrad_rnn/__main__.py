"""`python -m tinygrad_rnn` is `tinygrad-rnn`."""

import sys

from .cli import main

sys.exit(main())
