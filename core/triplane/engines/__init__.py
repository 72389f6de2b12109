"""What decides a run's next step. One interface (`base`), three engines here, more by entry point."""
