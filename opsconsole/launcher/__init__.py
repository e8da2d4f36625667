"""Starts the parts of a console on this machine, watches them, and stops them in order."""
