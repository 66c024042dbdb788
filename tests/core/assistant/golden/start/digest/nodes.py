"""Sources are read side by side and written into one text."""

from grapheteria import Node


class Read(Node):
    """Reads one source."""

    def execute(self, prepared):
        return self.config["source"]

    def cleanup(self, shared, prepared, source):
        shared["found"].append(source)


class Write(Node):
    """Writes the digest."""

    def prepare(self, shared, request_input):
        return shared["found"]

    def cleanup(self, shared, found, result):
        shared["digest"] = ", ".join(found)
