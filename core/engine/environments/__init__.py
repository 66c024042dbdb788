"""Environments of workflows with packages of their own: in the user's cache, made when needed, shared by content."""
