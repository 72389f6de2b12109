"""A stand-in for the native Cyclus; see the README beside this package."""
