"""Keeping what is stored: backups beside a running gateway, restoring them, and looking whether all of it is sound."""
