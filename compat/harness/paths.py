"""Where everything lives. All that is downloaded, built or written is under compat/.work."""

from pathlib import Path

COMPAT = Path(__file__).resolve().parent.parent
PROJECT = COMPAT.parent
WORK = COMPAT / ".work"
LIBS = WORK / "libs"
CLASSES = WORK / "classes"
VENV_PYTHON = WORK / "venv" / "bin" / "python"
GO_DRIVER = WORK / "franz"
RUN = WORK / "run"
LOG4J_TOOLS = COMPAT / "java" / "log4j2-tools.properties"
LOG4J_BROKER = COMPAT / "java" / "log4j2-broker.properties"
