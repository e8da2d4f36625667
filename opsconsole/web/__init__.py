"""The web edge: pages, JSON API and live streams. The only importer of Flask."""
