"""Simulations' child processes: one for each, supervised; a model that crashes, hangs or floods harms no other."""
