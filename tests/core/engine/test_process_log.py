"""What the engine writes into its own log has no secret in it, whoever says it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, sys
from pathlib import Path
import structlog
from core.engine.process_log import open_process_log, redact_with
from core.redaction import Redactor

VALUE = 'canary "quoted" 4711'
open_process_log(Path(sys.argv[1]))
log = structlog.get_logger()
log.warning("before")
redact_with(Redactor([VALUE]).text)
log.error("said", value=VALUE, inside={"a": [VALUE]})
logging.getLogger("library").warning("it is %s", VALUE)
try:
    raise ValueError(VALUE)
except ValueError:
    log.exception("raised")
    logging.getLogger("library").exception("raised too")
"""


def test_no_line_of_the_log_holds_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "engine.log"
    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], check=True, timeout=60)
    text = path.read_text()
    assert "canary" not in text
    assert text.count("[secret]") >= 5 and "before" in text and "raised too" in text
