"""Known bugs, each planted into a copy of the product to see whether the checkers find it."""
