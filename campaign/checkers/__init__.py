"""What must hold, checked with other means than the product's: from Kafka's own messages, Arrow and plain Python. Imports
nothing of the product, so that a fault of it cannot hide here as well."""
