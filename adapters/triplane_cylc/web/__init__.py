"""GraphQL over HTTP: all faces at one address, for programs and pages that have no CURVE key."""
