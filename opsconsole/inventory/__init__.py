"""Hosts, groups and the host keys trusted for them."""
