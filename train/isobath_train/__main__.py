"""python -m isobath_train"""

from .cli import main

raise SystemExit(main())
