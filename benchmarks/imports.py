"""What `import latentarena` takes, and each public name when it is first used: the median of fresh processes.

python benchmarks/imports.py [RUNS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys

CODE = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
LIMIT = 0.2  # seconds for the bare import


def seconds(statement: str, runs: int) -> float:
    """The median over new processes."""
    words = [sys.executable, "-c", CODE.format(statement)]
    return statistics.median(float(subprocess.run(words, capture_output=True, check=True).stdout) for _ in range(runs))


def main() -> int:
    """Print a line for each; 1 where the bare import is too slow."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    bare = seconds("import latentarena", runs)
    print(f"import latentarena: {1000 * bare:.1f} ms, at most {1000 * LIMIT:.0f}")
    for name in ("datasets", "Recipe", "Process", "load", "judge.__signature__", "train.__signature__", "fit"):
        print(f"  la.{name}: {seconds(f'import latentarena as la; la.{name}', runs):.2f} s")
    return int(bare > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
