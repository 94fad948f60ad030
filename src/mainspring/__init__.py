"""Mainspring: a folder of data in, an AI service out that keeps itself fresh."""

__version__ = "0.1.0"
