"""The result's part of the Run screen: the state as it is last, the files of the output folder."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from textual.message import Message
from textual.widget import Widget

from core.errors import RondoError
from core.link.inspect_types import OutputFile, OutputPage
from core.link.types import StateView as StatePart
from tui.actions import action
from tui.messages import EngineFailed
from tui.reader import Reader
from tui.run_feed import RunRead
from tui.screens.read import ReadSheet
from tui.screens.run_steps import StepActions, ValueRead
from tui.spans import Spans
from tui.text import size, visible
from tui.widgets.line_list import LineList
from tui.widgets.result_list import ResultList
from tui.widgets.rule import Title

PREVIEW_BYTES = 64 * 1024
COPIED_BYTES = 1024 * 1024
"""Bytes of a file up to which its text is copied; of a larger one, and of what is no text, the path is."""
FILES_SHOWN = 500


class ResultRead(Message, bubble=False):
    """The last state's top, and the first of the files."""

    def __init__(self, state: StatePart, page: OutputPage) -> None:
        super().__init__()
        self.state = state
        self.page = page


class FileRead(Message, bubble=False):
    """The beginning of a file."""

    def __init__(self, file: OutputFile, data: bytes, text: bool) -> None:
        super().__init__()
        self.file = file
        self.data = data
        self.text = text


class ResultActions(StepActions):
    """What can be done with a result. The screen knows its run."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.result = ResultList()
        self.result.display = False
        self._result_reader: Reader[Message] = Reader(self, "the result", self._read_result, lambda read: read)

    @property
    def right_pane(self) -> Widget:
        """What stands right of the steps."""
        return self.result if self.shows_result else self.state

    @property
    def shows_result(self) -> bool:
        """True while the result stands in the place of the state."""
        return self.result.has_class("-shown")

    def show_panes(self) -> None:
        """Show the panes that are to be seen."""
        raise NotImplementedError

    def run_ended(self) -> bool:
        """True where nothing more is written."""
        raise NotImplementedError

    def result_title(self, at: int) -> Title:
        """The title of the result's pane."""
        return Title("result" if self.run_ended() else "result so far", at, self.result.has_focus, "E shows the state")

    @action(
        "run.result",
        "result",
        keys="E",
        words="output",
        help="What it came to: last state and files, or back",
        footer=7,
    )
    def toggle_result(self) -> None:
        had_focus = self.focused in (self.state, self.result)
        self.result.set_class(not self.shows_result, "-shown")
        self.show_panes()
        if self.shows_result:
            self._result_reader.want()
        if self.shows_result or had_focus:
            self.set_focus(self.right_pane)
        self.refresh_titles()

    def on_run_read(self, message: RunRead) -> None:
        """The run went on: what it has come to may be something else."""
        if self.shows_result:
            self._result_reader.want()

    async def _read_result(self) -> Message:
        engine, run_id = self.engine, self.feed.run_id
        state, page = await asyncio.gather(
            engine.read_state(run_id, None, [], 1), engine.list_output(run_id, "", FILES_SHOWN)
        )
        return ResultRead(state, page)

    def on_result_read(self, message: ResultRead) -> None:
        state = message.state
        title = "final state" if self.run_ended() else f"state after {state.seq}"
        self.result.show_state(title, msgspec.json.decode(state.value), state.elided, state.size)
        self.result.show_files(message.page, self.rondo.now())

    # Opening and copying ---------------------------------------------------------------------------------------

    def on_line_list_chosen(self, event: LineList.Chosen) -> None:
        """Enter on a key shows it in the state, on a file its text."""
        line = self.result.selected
        if event.lines is not self.result or line is None:
            return
        if line.file is not None:
            self._open_file(line.file)
        elif line.key:
            self.toggle_result()
            self.state.go_path((line.key,))
            self.go_to_step(self.steps.steps.total)

    def _open_file(self, file: OutputFile) -> None:
        engine, run_id = self.engine, self.feed.run_id
        self.ask(
            lambda: engine.read_output(run_id, file.path, 0, PREVIEW_BYTES),
            lambda part: FileRead(file, part.data, part.text),
            group="output file",
            doing=f"reading {visible(file.path)}",
        )

    def on_file_read(self, message: FileRead) -> None:
        file = message.file
        lines: list[Spans] = []
        if message.text:
            lines = [[(visible(text), "")] for text in message.data.decode("utf-8", "replace").splitlines()]
        else:
            lines = [[("This is no text: e opens it in your editor, y copies its path.", "dim")]]
        if len(message.data) < file.size and message.text:
            lines.append([(f"… {size(file.size - len(message.data))} more: e opens it whole", "dim")])
        self.rondo.push_screen(ReadSheet(f"{visible(file.path)}  {size(file.size)}", lines))

    def result_file(self) -> str:
        """The path of the selected file, where the result has the focus."""
        line = self.result.selected if self.result.has_focus else None
        return f"{self.result.folder}/{line.file.path}" if line is not None and line.file is not None else ""

    def copy_selected(self) -> None:
        """Of a result: the value, or the file's text; the path where it has none or is very large."""
        line = self.result.selected if self.result.has_focus else None
        if line is None:
            super().copy_selected()
        elif line.file is not None:
            self.run_worker(self._copy_file(line.file), group="copy value", exclusive=True)
        else:
            self.run_worker(self.read_value((line.key,), None), group="copy value", exclusive=True)

    async def _copy_file(self, file: OutputFile) -> None:
        path = f"{self.result.folder}/{file.path}"
        data = b""
        try:
            while file.kind == "file" and file.size <= COPIED_BYTES and len(data) < file.size:
                part = await self.engine.read_output(self.feed.run_id, file.path, len(data))
                if not part.text or not part.data:
                    data = b""
                    break
                data += part.data
        except RondoError as error:
            self.post_message(EngineFailed(error, f"reading {visible(file.path)}"))
            return
        self.post_message(ValueRead(data.decode("utf-8", "replace") if data else path))
