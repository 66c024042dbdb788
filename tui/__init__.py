"""The screens: they show what the engine says and decide nothing."""

import os

# Textual reads its frame rate once, when it is imported, so this has to come before that: a line to another machine
# is slow and metered.
if os.environ.get("SSH_CONNECTION"):
    os.environ.setdefault("TEXTUAL_FPS", "15")
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
