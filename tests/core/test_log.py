"""Messages for the user are seen when nobody set up logging, and go where the user's logging goes when somebody did."""

import subprocess
import sys

SHOUT = "from ts_core.log import user_logger; user_logger().warning('seen'); user_logger().warning('again')"


def stderr(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr


def test_without_logging_set_up_messages_go_to_stderr_once_each():
    lines = stderr(SHOUT).splitlines()
    assert [line.rpartition(" - ")[2] for line in lines] == ["seen", "again"]
    assert " - ts_core - WARNING - " in lines[0]


def test_the_users_own_logging_is_left_alone():
    script = "import logging; logging.basicConfig(format='mine %(message)s');" + SHOUT
    assert stderr(script).splitlines() == ["mine seen", "mine again"]


def test_the_library_itself_is_silent():
    assert stderr("from ts_core.log import LOGGER; LOGGER.warning('unheard')") == ""
