"""What administrators ask of the core: namespaces, retention, repair, figures."""
