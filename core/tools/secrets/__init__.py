"""Secrets: kept in the user's own places, given to workflows by grants, never shown."""
