"""The faults: how each is made, and how it is known that it struck. Starts the product's scripts; imports nothing of it."""
