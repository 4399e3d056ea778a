"""The commands of `tinygrad-rnn`: one file each, with its options and what it runs."""

from . import derive, draw, evaluate, generate, study, tag, train

COMMANDS = [train, generate, evaluate, tag, study, draw, derive]
"""Each has `add(commands)`, which adds a parser whose default `command` takes the options."""
