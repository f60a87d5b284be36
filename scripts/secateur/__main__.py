"""The command `secateur`, run as a module: `python -m secateur`."""

import sys

from secateur.cli.main import main

sys.exit(main())
