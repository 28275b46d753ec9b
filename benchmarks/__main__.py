"""`python -m benchmarks [name …]`: each benchmark in a process of its own, so that none pays for another's memory.

Exit status 0 where every target is reached, 1 otherwise.
"""

import os
import subprocess
import sys

ALL = ("ingest", "billing", "ledger", "clocks", "rating")


def main() -> int:
    """Runs those named, all by default."""
    wanted = sys.argv[1:] or list(ALL)
    unknown = [name for name in wanted if name not in ALL]
    if unknown:
        print(f"there is no benchmark {unknown[0]}; choose from {', '.join(ALL)}", file=sys.stderr)
        return 2
    environment = {name: value for name, value in os.environ.items() if name != "TALLYSTICK_TEST_SERVER"}
    missed = [
        name
        for name in wanted
        if subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], env=environment, check=False
        ).returncode
    ]
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
