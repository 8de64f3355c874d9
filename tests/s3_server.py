"""An S3 server in a process of its own, on a port that the system chooses.

    s3_server.py moto FOLDER          the widest in what it can do; one request at a time
    s3_server.py localbucket FOLDER   many requests at a time; objects are files in the folder

It prints its port, and ends when its input does: so never later than who started it.
"""

import logging
import socketserver
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

SERVERS = ("moto", "localbucket")


def moto(folder: Path) -> socketserver.BaseServer:
    del folder  # it keeps objects in memory
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    # Its threads would look for an object and put it in two steps: then two writers can both
    # put it if absent.
    return make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app))


def localbucket(folder: Path) -> socketserver.BaseServer:
    from localbucket import S3Handler

    S3Handler.data_root = folder
    S3Handler.disable_nagle_algorithm = True  # or every second answer waits for 40 ms
    return ThreadingHTTPServer(("127.0.0.1", 0), S3Handler)


if __name__ == "__main__":
    logging.disable()
    server = {"moto": moto, "localbucket": localbucket}[sys.argv[1]](Path(sys.argv[2]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
