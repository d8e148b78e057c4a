"""One pyvisa ResourceManager for each VISA library, shared by all lines and never closed before the process ends.

A second manager would close every session of the first when it goes (they share the library's state).
"""

import threading
from typing import Any

_managers: dict[str, Any] = {}
_lock = threading.Lock()


def resource_manager(visa_library: str) -> Any:
    """The shared manager of one library: "@py" (pyvisa-py), "@ivi", or the path of a vendor's library."""
    with _lock:
        if visa_library not in _managers:
            import pyvisa

            _managers[visa_library] = pyvisa.ResourceManager(visa_library)
        return _managers[visa_library]
