"""Changing the config of a running gateway: all that can be applied is, the rest is named, and nothing is half done."""
