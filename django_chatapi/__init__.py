"""A complete Chat API for any Django site."""

__version__ = "0.1.0"
