"""Text from files made safe to show, for plug-ins: the functions of :mod:`ts_core.text`.

What is told through :mod:`ts_core.contract.errors` and :mod:`ts_core.contract.log` is made safe there.
"""

from ts_core.text import lines as lines
from ts_core.text import listed as listed
from ts_core.text import safe as safe
