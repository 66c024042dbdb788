"""The version of Rondo, here as text because reading package metadata costs time at every start."""

VERSION = "0.1.0"
