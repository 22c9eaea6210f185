"""`gotowce`, `dvc` or `python`: passes arguments and files to the server beside it, and ends like it.

As `python` it does so for what measures a contender; whatever else starts Python may keep files open for it.
"""

import json
import os
import socket
import sys
from pathlib import Path

program = Path(sys.argv[0])
environ = dict(os.environ)
server = socket.socket(socket.AF_UNIX)
try:
    server.connect(str(program.parent / "socket"))
    # A caller may bring modules of its own, for which the server has not looked.
    is_served = environ.get("PYTHONPATH", "") == (program.parent / "pythonpath").read_text()
except OSError:  # the server has ended
    is_served = False
is_module = program.name != "python" or sys.argv[1:3] == ["-m", "gotowce_dagster.comparison.worker"]
if not (is_served and is_module):
    os.execv(Path(sys.executable).parent / program.name, sys.argv)
umask = os.umask(0)
content = json.dumps([program.name, sys.argv[1:], str(Path.cwd()), environ, umask]).encode()
socket.send_fds(server, [len(content).to_bytes(8, "big")], [0, 1, 2])
server.sendall(content)
code = int(server.recv(16) or sys.exit((program.parent / "errors").read_text() or "the server has ended"))
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
