"""The house of runs and their children serves here too."""

from unit.children.conftest import house, new_house

__all__ = ["house", "new_house"]
