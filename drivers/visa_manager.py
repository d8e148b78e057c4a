"""One pyvisa ResourceManager for each VISA library, shared by all lines and never closed before the process ends.

A second manager would close every session of the first when it goes (they share the library's state). Somebody else's
code in the same process may do so: lines opened from then on get a new manager.
"""

import threading
from typing import Any

_managers: dict[str, Any] = {}
_lock = threading.Lock()


def resource_manager(visa_library: str) -> Any:
    """The shared manager of one library: "@py" (pyvisa-py), "@ivi", or the path of a vendor's library."""
    with _lock:
        if not _open(_managers.get(visa_library)):
            import pyvisa

            _managers[visa_library] = pyvisa.ResourceManager(visa_library)
        return _managers[visa_library]


def _open(manager: Any) -> bool:
    from pyvisa.errors import InvalidSession

    try:
        return manager is not None and manager.session is not None
    except InvalidSession:
        return False
