"""Divides a total by a number of parts that may be 0."""

from grapheteria import Node


class Load(Node):
    """Reads how many parts there are."""

    def cleanup(self, shared, prepared, result):
        shared["parts"] = len(shared.get("names", []))


class Divide(Node):
    """Works out what each part gets."""

    def prepare(self, shared, request_input):
        return shared["total"], shared["parts"]

    def execute(self, numbers):
        total, parts = numbers
        return total / parts

    def cleanup(self, shared, prepared, each):
        shared["each"] = each
