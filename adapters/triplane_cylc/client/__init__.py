"""What runs on a job host: `triplane message`. Starts fast: only the standard library until it must send."""
