"""Tools: services that workflows act on, their providers, and the accounts they are used with."""
