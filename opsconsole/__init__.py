"""opsconsole: a console that runs one command on many hosts over SSH and tells the truth about each."""

__version__ = "0.1.0"
