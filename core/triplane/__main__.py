"""`python -m triplane`: the command line without its console script."""

import sys

from triplane.cli.main import main

sys.exit(main())
