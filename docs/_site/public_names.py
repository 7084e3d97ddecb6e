"""References to classes by the modules that define them lead to the public names.

Signatures name `trimcp.server.app.Server`, and users write `trimcp.Server`. Names of private modules, type aliases and
type variables stay without a link. Every other reference that leads nowhere fails the build.
"""

import builtins
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import trimcp
import trimcp.auth

PUBLIC = {f"trimcp.{module}.{name}": f"trimcp.{name}" for name, module in trimcp._PLACES.items()}
PUBLIC |= {
    f"{value.__module__}.{name}": f"trimcp.auth.{name}"
    for name in trimcp.auth.__all__
    if isinstance(getattr(value := getattr(trimcp.auth, name), "__module__", None), str)
}
BARE_NAME = re.compile(r"[A-Z]\w*")


def _resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> Any:
    if node.get("refdomain") != "py":
        return None
    target = str(node.get("reftarget", ""))
    last = target.rpartition(".")[2]
    public = PUBLIC.get(target) or (f"trimcp.{last}" if last in trimcp._PLACES else None)
    if public is not None and public != target:
        domain = env.get_domain("py")
        for kind in ("class", "obj", "exc", "func", "data"):
            found = domain.resolve_xref(env, node["refdoc"], app.builder, kind, public, node, content)
            if found is not None:
                return found
    if target.startswith("trimcp.") or BARE_NAME.fullmatch(target) or hasattr(builtins, target):
        return content
    return None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True}
