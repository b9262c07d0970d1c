#!/usr/bin/env python3
"""Print the README's first or second command: what a newcomer pastes, and what CI runs.

python3 scripts/readme_commands.py 1|2
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def commands() -> list[str]:
    """The shell blocks that set up an environment, in order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    return [block.strip() for block in blocks if "-m venv" in block]


if __name__ == "__main__":
    print(commands()[int(sys.argv[1]) - 1])
