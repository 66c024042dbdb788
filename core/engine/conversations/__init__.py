"""Conversations with the assistant, what they propose, and the journal of what was applied."""
