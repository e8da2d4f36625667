"""Celery at the edge: the only importer of celery and kombu."""
