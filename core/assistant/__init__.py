"""Workflows by conversation: drafts, proposals, checks, and the turns that lead to them. Knows no engine."""
