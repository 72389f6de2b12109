"""`triplane cyclus-server`: a gateway of its own with only this wire, started like the original server."""
