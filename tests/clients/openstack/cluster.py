"""Swift, whole and in one process: account, container and object servers below a proxy of the given configuration.

python cluster.py FOLDER PROXY_CONF: keeps everything in FOLDER, and prints the proxy's port when it is ready.
"""

import os
import sys

import eventlet
import eventlet.tpool
import eventlet.wsgi

eventlet.monkey_patch()

from swift.common import utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402

FOLDER, PROXY_CONF = sys.argv[1:]
DEVICE = "sda1"
PARTITIONS_POWER = 4

os.makedirs(os.path.join(FOLDER, "devices", DEVICE))
with open(os.path.join(FOLDER, "swift.conf"), "w") as conf:
    conf.write("[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n")
utils.SWIFT_CONF_FILE = os.path.join(FOLDER, "swift.conf")
utils.validate_hash_conf()

from swift.account.server import AccountController  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402
from swift.container.server import ContainerController  # noqa: E402
from swift.obj.server import ObjectController  # noqa: E402


def serve(socket, app):
    eventlet.spawn(eventlet.wsgi.server, socket, app, log_output=False)


def listen():
    socket = eventlet.listen(("127.0.0.1", 0))
    return socket, socket.getsockname()[1]


settings = {
    "devices": os.path.join(FOLDER, "devices"),
    "swift_dir": FOLDER,
    "mount_check": "false",
    "fallocate_reserve": "0",
    "log_level": "DEBUG",
    "log_address": os.path.join(FOLDER, "nobody-logs-here"),
}
for name, controller in [
    ("account", AccountController),
    ("container", ContainerController),
    ("object", ObjectController),
]:
    socket, port = listen()
    ring = RingBuilder(PARTITIONS_POWER, replicas=1, min_part_hours=0)
    ring.add_dev(
        {"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": DEVICE, "weight": 1}
    )
    ring.rebalance()
    ring.get_ring().save(os.path.join(FOLDER, f"{name}.ring.gz"))
    serve(socket, controller(dict(settings)))

socket, port = listen()
serve(socket, loadapp(PROXY_CONF, global_conf={"swift_dir": FOLDER}))
print(port, flush=True)
# Until whoever started it goes away; on a thread of its own, as reading would stop all else.
eventlet.tpool.execute(sys.stdin.read)
