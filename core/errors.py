"""The one family of errors: each says what happened, why, and what to do next."""

from __future__ import annotations

from typing import Any, ClassVar


class RondoError(Exception):
    """An error a person can act on.

    `exit_code` is the exit status of the command line for it: 1 failed or invalid, 2 wrong usage,
    3 waiting, 4 blocked, 5 environment.
    """

    exit_code: ClassVar[int] = 1
    known: ClassVar[dict[str, type[RondoError]]] = {}

    def __init__(self, message: str, *, cause: str = "", next_step: str = "", details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.next_step = next_step
        self.details = details

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        RondoError.known[cls.__name__] = cls

    @property
    def type_name(self) -> str:
        """The word that names this error in JSON documents and on the wire."""
        return type(self).__name__

    def to_dict(self) -> dict[str, Any]:
        """The error as the JSON document `{type, message, cause, next_step}`; `details` only where there are any."""
        document = {"type": self.type_name, "message": self.message, "cause": self.cause, "next_step": self.next_step}
        if self.details is not None:
            document["details"] = self.details
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> RondoError:
        """Rebuild an error that crossed a process border; an unknown type becomes a plain RondoError."""
        kind = cls.known.get(document.get("type", ""), RondoError)
        error = RondoError.__new__(kind)
        RondoError.__init__(
            error,
            document.get("message", ""),
            cause=document.get("cause", ""),
            next_step=document.get("next_step", ""),
            details=document.get("details"),
        )
        return error


# Wrong usage: exit 2 ---------------------------------------------------------------------------------------------


class UsageError(RondoError):
    """The call's words are off."""

    exit_code = 2


class UnknownWorkflow(UsageError):
    """No workflow has that name in this workspace."""


class UnknownRun(UsageError):
    """No run has that id, or more than one has that short form."""


class UnknownVersion(UsageError):
    """No stored version of the workflow has that hash."""


class UnknownNode(UsageError):
    """The workflow has no node of that id, or the run never came to it."""


class UnknownLine(UsageError):
    """The run has no line of that number."""


class UnknownRequest(UsageError):
    """The run has no open request of that name, or more than one."""


class UnknownStep(UsageError):
    """The run has no step of that number."""


class InvalidAnswer(UsageError):
    """The value doesn't fit what the request asks for; nothing changed."""


class InvalidInput(UsageError):
    """The run's inputs don't fit what the workflow declares; nothing started."""


class AlreadyAnswered(UsageError):
    """The request was answered before; the first durable answer stands."""


class NodeGone(UsageError):
    """The node to go on with is not in the version to go on with; nothing changed."""


class RunAtRest(UsageError):
    """The command needs a run that is still going, and this one is not (or the other way round)."""


# Invalid or failed: exit 1 ---------------------------------------------------------------------------------------


class DefinitionError(RondoError):
    """The workflow's files have findings of severity error; `details` holds them."""


class StateValueError(RondoError):
    """A value in the state is not JSON; the message names node, path and type."""


class StateConflict(RondoError):
    """Two nodes without a path between them changed the same part of the state."""


class NodeImportError(RondoError):
    """The workflow's code can't be imported."""


class NodeCodeMissing(RondoError):
    """The graph names a node or class that the code doesn't have."""


class NodeExit(RondoError):
    """Node code called sys.exit, or raised KeyboardInterrupt."""


class NodeTimeout(RondoError):
    """An attempt of a node took longer than its `timeout`."""


class EarlierFailure(RondoError):
    """What an attempt in a process that is gone has failed with; the message names its type."""


class MapItemFailed(RondoError):
    """The function of `Node.map` failed for good on an item; `details` is its index, counted from 0."""


class SubflowFailed(RondoError):
    """The run of a workflow that a node waited for failed, was cancelled, or could not be started.

    `details` is `{"run_id", "status"}`; the id is null where it was not started.
    """


class SubflowTooDeep(RondoError):
    """A run would be nested deeper in others than runs may be, perhaps because a workflow contains itself."""


class NoSubflowsHere(RondoError):
    """Node code ran a workflow where there is no engine to run it."""


class NoCallsHere(RondoError):
    """Node code called a model, an address or a tool where there is no engine that could."""


class CallProblem(RondoError):
    """A call of an address can't be made, or came to nothing."""


class CallTimeout(CallProblem):
    """The address did not answer in time."""


class CallTooLarge(CallProblem):
    """What is to be sent, or what came back, is larger than may be."""


class CallInterrupted(CallProblem):
    """The engine ended while a call was under way; what it came to is not known."""


class CallGivenUp(CallProblem):
    """The code of a node, its time limit or the end of its run gave a call up that had gone out."""


class CallUncertain(CallProblem):
    """A call that may have acted was not heard of to its end, and a person decided not to repeat it."""


class NoSuchNode(RondoError):
    """A node chose a next node that the workflow doesn't have."""


class GotoInDag(RondoError):
    """A node of a workflow of mode dag chose the next node."""


class OutsideVisit(RondoError):
    """Something that belongs to a visit was used while the node doesn't run."""


class ToolMissing(RondoError, KeyError):
    """Node code asked for a tool that the workflow doesn't have."""

    def __str__(self) -> str:
        return self.message  # KeyError would show it in quotes


class RunProcessDied(RondoError):
    """The run process ended before it had finished."""


class StoreError(RondoError):
    """What was to be stored contradicts what is stored; nothing of it was kept."""


class RepeatedCommand(RondoError):
    """A command with this id acted before; `result` is the JSON text it was recorded with."""

    def __init__(self, result: str | None) -> None:
        super().__init__(
            "This command was carried out before.",
            cause="A command with the same id is recorded.",
            next_step="Take the recorded result; the command doesn't act twice.",
            details=result,
        )

    @property
    def result(self) -> str | None:
        text: str | None = self.details
        return text


class TransferProblem(RondoError):
    """A file is not an exported run, or not a whole one; nothing of it was imported."""


class OutputLimit(RondoError):
    """A run printed more than may be kept."""


# Blocked: exit 4 -------------------------------------------------------------------------------------------------


class NotApproved(RondoError):
    """This version of the workflow has not been approved to run; `details` holds the diff since the last approval."""

    exit_code = 4


class NotReady(RondoError):
    """Something that the workflow needs is missing, and the run was to begin with all of it; `details` names it."""

    exit_code = 4


class ReadOnly(RondoError):
    """Nothing may change, because the program was started read-only; nothing was done."""

    exit_code = 4


class EffectsNotAcknowledged(RondoError):
    """Nodes that declare `effects: write` would act again, and nobody said that they may; nothing changed.

    `details` is `{"write": [{"node", "times", "last_at"}], "undeclared": [node, ...]}`.
    """

    exit_code = 4


# Environment: exit 5 ---------------------------------------------------------------------------------------------


class EnvironmentProblem(RondoError):
    """Something around the program is wrong: disk, rights, lock, database, engine."""

    exit_code = 5


class PackagesProblem(EnvironmentProblem):
    """The packages of a workflow can't be installed."""


class WorkspaceMissing(EnvironmentProblem):
    """The folder is not there or can't be used as a workspace."""


class EngineUnreachable(EnvironmentProblem):
    """No engine answers and none could be started."""


class EngineLost(EnvironmentProblem):
    """The connection to the engine broke in the middle of a call."""


class EngineStopping(EnvironmentProblem):
    """The engine takes no more work."""


class WorkspaceLocked(EnvironmentProblem):
    """Another engine owns this workspace."""


class ProtocolMismatch(EnvironmentProblem):
    """Engine and client are of different versions."""


class DatabaseProblem(EnvironmentProblem):
    """The database can't be used."""


class DatabaseDamaged(DatabaseProblem):
    """The database file, or a row in it, is not what was written."""


class DatabaseBusy(DatabaseProblem):
    """Another program holds the database."""


class DatabaseReplaced(DatabaseProblem):
    """The database file was deleted or replaced while it was open."""


class ForeignDatabase(DatabaseProblem):
    """The file is a database of another program."""


class SchemaTooNew(DatabaseProblem):
    """The database was written by a newer Rondo."""


class DiskFull(DatabaseProblem):
    """There is no space left where the database is."""


class FolderReadOnly(DatabaseProblem):
    """The folder for runs can't be written."""


# Secrets ----------------------------------------------------------------------------------------------------------


class SecretProblem(RondoError):
    """A secret can't be kept, had or used; no message holds its value."""


class SecretMissing(SecretProblem):
    """Nowhere is there a secret of that name."""

    exit_code = 4


class SecretNotGranted(SecretProblem):
    """The workflow was not given the secret; `details` holds the names."""

    exit_code = 4


class SecretsLocked(SecretProblem):
    """The secret is encrypted, and nobody has given the passphrase."""

    exit_code = 4


class PassphraseWrong(SecretProblem):
    """The passphrase does not open the secrets; nothing changed."""


class SecretsUnreadable(SecretProblem):
    """The file of the secrets is damaged, or others can read it; it is left as it is."""

    exit_code = 5


class KeyringProblem(SecretProblem):
    """The system's keyring refused, or did not answer in time."""

    exit_code = 5


class SecretInState(SecretProblem):
    """What is to be kept holds the value of a secret; the message names the place. Nothing of it was kept."""


# Models ----------------------------------------------------------------------------------------------------------


class ModelProblem(RondoError):
    """A model could not be asked, or gave nothing that can be used."""


class NoModelKey(ModelProblem):
    """There is no key for the provider."""


class ModelSettingsProblem(ModelProblem):
    """The settings name a provider, role or model that is not there."""


class ModelKeyRefused(ModelProblem):
    """The provider does not take the key, or the account may not use the model."""


class ModelUnknown(ModelProblem):
    """The provider has no such model."""


class ModelRateLimited(ModelProblem):
    """The provider wants fewer calls, and waiting did not help."""


class ModelUnreachable(ModelProblem):
    """No connection, a cut one, a time limit, or a server that fails, after all attempts."""


class ModelRefusal(ModelProblem):
    """The model refused to answer."""


class ModelReplyProblem(ModelProblem):
    """The reply is cut, is not the JSON that was asked for, or is too long for the model."""


class BudgetReached(ModelProblem):
    """A budget of money, tokens or calls is used up."""


class CallNotRecorded(ModelProblem):
    """A replayed run makes a call that its recording does not have."""


# Proposals -------------------------------------------------------------------------------------------------------


class ProposalProblem(RondoError):
    """A proposal can't be applied, tried or undone as it was asked."""


class ProposalStale(ProposalProblem):
    """The workflow has changed since the proposal was made, where the two touch."""


class UndoConflict(ProposalProblem):
    """What was done since then touches what is to be undone; `details` shows both."""


class ConsentNeeded(ProposalProblem):
    """Something in it needs a yes of its own; `details` says what."""

    exit_code = 4


# Tools -----------------------------------------------------------------------------------------------------------


class ToolProblem(RondoError):
    """A tool can't be used, or the call of one failed."""


class ToolUnknown(ToolProblem):
    """No provider has an app or an action of that name."""

    exit_code = 2


class ToolArguments(ToolProblem):
    """The arguments don't fit the action; nothing was called."""

    exit_code = 2


class ToolSettingsProblem(ToolProblem):
    """A file that says which tools there are can't be understood."""

    exit_code = 2


class ToolProviderMissing(ToolProblem):
    """The provider is not installed, has no key, or was not trusted."""

    exit_code = 4


class ToolKeyUnreadable(ToolProviderMissing):
    """The key may be there, but nobody can read it now: the secrets are locked, or their place is not usable."""


class ToolKeyRefused(ToolProblem):
    """The provider does not take the key."""

    exit_code = 4


class NotConnected(ToolProblem):
    """There is no account of the app that can be used; `details` holds `app`."""

    exit_code = 4


class ConnectionExpired(NotConnected):
    """The account was connected, and its access has ended."""


class ToolNotTrusted(NotConnected):
    """A person has not said that this server may be used, or it offers something else than it did then."""


class ConnectFailed(ToolProblem):
    """An account could not be connected."""


class ToolRateLimited(ToolProblem):
    """The service wants fewer calls; the call did not act."""

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the service takes calls again, where it says so."""
        seconds = self.details.get("retry_after") if isinstance(self.details, dict) else None
        return float(seconds) if isinstance(seconds, int | float) else None


class ToolRefused(ToolProblem):
    """The tool was called and says that it could not do what was asked."""


class ToolGone(ToolProblem):
    """The service has taken away what was called."""


class ToolUnreachable(ToolProblem):
    """No connection, a time limit, or a server that fails; the call did not act, or acting again does no harm."""


class ToolUncertain(ToolProblem):
    """A call that may have acted had no whole answer, so nobody knows; it is not repeated by itself."""


class ToolReplyProblem(ToolProblem):
    """What came back is too large or not what the service is known to send."""


class ToolsOffline(ToolProblem):
    """The provider can't be reached, and nothing that it said earlier is kept."""
