"""What carries out a run on a host. Pure."""

from enum import StrEnum


class Executor(StrEnum):
    """``ssh`` connects to the host. ``local`` runs on the worker's own machine, in the host's stead. ``simulate`` plays
    a host: nothing is connected to and nothing is run."""

    SSH = "ssh"
    LOCAL = "local"
    SIMULATE = "simulate"
