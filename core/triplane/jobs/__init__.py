"""Jobs: platforms, job directories and files, runners, polling, and the service that carries out an engine's job effects."""
