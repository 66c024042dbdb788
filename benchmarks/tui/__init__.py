"""What the screens cost, measured from outside: real programs in real pseudo-terminals on a real engine."""
