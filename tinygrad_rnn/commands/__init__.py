"""The commands of `tinygrad-rnn`: one file each, with its options and what it runs."""

from . import derive, draw, study, tag

COMMANDS = [study, draw, derive, tag]
"""Each has `add(commands)`, which adds a parser whose default `command` takes the options."""
