"""`python -m triplane_cylc` is `triplane message`, for jobs on hosts whose PATH has no `triplane`."""

from triplane_cylc.cli import app

app()
