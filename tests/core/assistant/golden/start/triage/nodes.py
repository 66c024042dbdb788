"""Mails are fetched, sorted, summarised and posted."""

from grapheteria import Node

MAILS = [{"from": "ann", "subject": "Invoice"}, {"from": "bob", "subject": "Lunch"}]


class Fetch(Node):
    """Reads the new mails."""

    def prepare(self, shared, request_input):
        return shared["since"], self.config["limit"]

    def execute(self, wanted):
        _, limit = wanted
        return MAILS[:limit]

    def cleanup(self, shared, prepared, mails):
        shared["mails"] = mails
        shared["n"] = len(mails)


class Sort(Node):
    """Puts important mails first."""

    def prepare(self, shared, request_input):
        return shared["mails"]

    def execute(self, mails):
        return sorted(mails, key=lambda mail: mail["subject"])

    def cleanup(self, shared, prepared, mails):
        shared["mails"] = mails


class Summarise(Node):
    """Writes the digest."""

    def prepare(self, shared, request_input):
        return shared["mails"]

    def execute(self, mails):
        return "\n".join(mail["subject"] for mail in mails)

    def cleanup(self, shared, prepared, text):
        shared["digest"] = text


class Post(Node):
    """Posts the digest."""

    def prepare(self, shared, request_input):
        return shared["digest"]

    def execute(self, digest):
        print(digest)
