"""Celery: the only importer of it. The broker carries ids; the rows in the database are the truth."""
