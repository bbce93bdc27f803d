"""What the validation book checks: one module a topic, one function a check.

Slow references and simulated studies that checks share with the tests lie in tests/ and benchmarks/.
"""

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
for _folder in (_ROOT, _ROOT / "tests", _ROOT / "benchmarks"):
    if str(_folder) not in sys.path:
        sys.path.append(str(_folder))
