"""Many tasks tuned under one budget."""
