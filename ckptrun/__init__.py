"""ckptrun, as a training script sees it: `run = ckptrun.attach()`.

The names are loaded from `ckptrun.client` when they are first used, so that the command line does not pay for them.
"""

from ckptrun import names

TYPE_CHECKING = False  # typing's own costs ten milliseconds
if TYPE_CHECKING:
    from ckptrun.client import Run as Run
    from ckptrun.client import attach as attach

__version__ = names.VERSION
__all__ = ["Run", "attach"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from ckptrun import client  # noqa: PLC0415  # lazily: see above

        return getattr(client, name)
    raise AttributeError(f"module 'ckptrun' has no attribute {name!r}")
