"""`python -m edge` is the command `edged`."""

from edge.cli import main

raise SystemExit(main())
