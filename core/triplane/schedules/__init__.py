"""Schedules: what starts runs by the clock. Arithmetic and state machine are pure; the service does the rest."""
