"""What node authors import: nodes, edges and the operators between them."""

from core.sdk.base_node import BaseNode
from core.sdk.edge import Edge
from core.sdk.node import Node, find_node_class, make_node
from core.sdk.tools import SharedView, Tools, shared_view

__all__ = ["BaseNode", "Edge", "Node", "SharedView", "Tools", "find_node_class", "make_node", "shared_view"]
