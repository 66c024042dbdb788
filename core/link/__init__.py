"""How clients reach the engine of a workspace: one interface (`core.link.api.EngineApi`), over a Unix socket.

One call or a few, as the command line does (`rondo list`, `rondo run`):

    from core.link.start import connect
    from core.places import Workspace

    async with await connect(Workspace.at(folder), kind="cli") as engine:   # starts the engine where none runs
        rows = await engine.list_workflows()
        events = engine.events()                       # registered at once: nothing is missed from this line on
        run = await engine.start_run(StartRun(command_id=new_id, workflow="hello"))
        async for batch in events:                     # hints; read rows after your cursor
            ...                                        # EngineLost is raised where the connection breaks

`connect(workspace, *, kind, start=True, timeout=10.0) -> RemoteEngine`; with `start=False` it raises EngineUnreachable
where no engine runs. `kind` is tui, cli, api or test.

Other things the command line needs, also in `core.link.start`:

    find_engine(workspace) -> EngineStatus             # from engine.json, asks and starts nothing
    await stop_engine(workspace, timeout=30.0) -> bool # False: none was running; works across a protocol mismatch

A client that stays, as the screens do:

    from core.link.session import EngineSession

    session = EngineSession(workspace, "tui")
    session.open()                                     # connects behind, returns at once; needs a running event loop
    async for batch in session.events():               # lives across reconnects
        for event in batch:
            match event:
                case EngineChanged(state="connected"): ...     # also "connecting", "lost" (with why in `message`)
                case Resync(): ...                             # after each reconnect: read rows after your cursors
    rows = await session.list_workflows()              # every EngineApi method; waits a while for the connection
    session.state, session.info, session.problem       # "connecting" | "connected" | "lost", EngineInfo, RondoError
    session.retry()                                    # connect now; starts an engine that was stopped on purpose
    await session.close()

A call on a session goes out again where the engine dies in the middle. After `rondo engine stop` the next call
starts the engine again. In the engine, `core.link.caller.caller` says which kind of client the present call came from.

Every failure is a `RondoError`: EngineUnreachable, EngineLost, ProtocolMismatch, WorkspaceMissing, DatabaseDamaged, ...
"""
