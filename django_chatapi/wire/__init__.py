"""The wire: the only place that knows the contract's camelCase."""
