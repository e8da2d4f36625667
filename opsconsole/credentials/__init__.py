"""Secrets at rest and the ways to log in to hosts."""
