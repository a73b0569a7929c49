"""A fault campaign on the lakehouse: a generator of traffic, faults that are proved to have struck, and checkers that share
nothing with the product. ``python -m campaign --help``."""
