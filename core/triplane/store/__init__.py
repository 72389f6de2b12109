"""Where everything is kept: one interface (`interface`), SQLite behind it (`sqlite`)."""
