"""What the second reader's own environment runs and holds."""
