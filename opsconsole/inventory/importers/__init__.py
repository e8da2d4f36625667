"""Readers of the formats in which people keep their hosts; each makes a ``Draft``."""
