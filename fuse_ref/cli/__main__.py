"""`python -m fuse_ref.cli`, the same as `fuse`."""

from __future__ import annotations

import sys

from fuse_ref.cli.main import main

sys.exit(main())
