"""Schemas of the Cylc wire: `data_store.proto` with its generated module, and `schema.graphql`."""
