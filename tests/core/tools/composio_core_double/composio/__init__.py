"""A double of the package composio-core: the part that Rondo uses, with its manners."""
