"""Alembic migrations of opsconsole."""
