"""A client generated from proto/ as anybody would, and what the scripts beside share."""

import contextlib
import importlib
import os
import pkgutil
import sys
import tempfile
from pathlib import Path

import grpc
import grpc_tools
from grpc_status import rpc_status
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[3]
PROTOS = [ROOT / "proto", ROOT / "third_party/googleapis"]


def generate(folder):
    files = [str(file) for proto in PROTOS for file in proto.rglob("*.proto")]
    bundled = Path(grpc_tools.__file__).parent / "_proto"
    includes = [f"-I{path}" for path in [*PROTOS, bundled]]
    arguments = ["protoc", *includes, f"--python_out={folder}", f"--grpc_python_out={folder}", *files]
    assert protoc.main(arguments) == 0, "protoc failed"


# Kept until the process ends: modules are read from it when they are first named.
_folder = tempfile.TemporaryDirectory()
generate(_folder.name)
sys.path.insert(0, _folder.name)
# googleapis-common-protos brings a `google` package of its own: ours stands beside it.
for package in ["google", "google.api", "google.rpc"]:
    with contextlib.suppress(ImportError):
        module = importlib.import_module(package)
        module.__path__ = pkgutil.extend_path(module.__path__, package)

pb = {
    name: importlib.import_module(f"claviger.identity.v1.{name}_service_pb2")
    for name in ["account", "user", "access_key", "event", "admin_token", "keystore", "bucket"]
}
stubs = {
    name: importlib.import_module(f"claviger.identity.v1.{name}_service_pb2_grpc") for name in pb
}
event_pb = importlib.import_module("claviger.event.v1.event_pb2")
error_details = importlib.import_module("google.rpc.error_details_pb2")


class Identity:
    """Stubs of identity's services, for one caller."""

    def __init__(self, token=None, **metadata):
        self.metadata = tuple(metadata.items())
        if token is not None:
            self.metadata += (("authorization", f"Bearer {token}"),)
        self.channel = grpc.insecure_channel(os.environ["CLAVIGER_IDENTITY"])
        classes = {
            "accounts": stubs["account"].AccountServiceStub,
            "users": stubs["user"].UserServiceStub,
            "keys": stubs["access_key"].AccessKeyServiceStub,
            "buckets": stubs["bucket"].BucketServiceStub,
            "events": stubs["event"].EventServiceStub,
            "tokens": stubs["admin_token"].AdminTokenServiceStub,
            "keystore": stubs["keystore"].KeystoreServiceStub,
        }
        for name, stub in classes.items():
            setattr(self, name, stub(self.channel))

    def __call__(self, method, request):
        return method(request, metadata=self.metadata, timeout=60)


def operator():
    return Identity(os.environ["CLAVIGER_TOKEN"])


@contextlib.contextmanager
def refused(code, reason):
    """What stands within is refused so."""
    try:
        yield
    except grpc.RpcError as error:
        found = reason_of(error)
        assert (error.code().name, found) == (code, reason), (error.code(), found, error.details())
    else:
        raise AssertionError(f"expected {code}/{reason}")


def reason_of(error):
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details.ErrorInfo()
        if detail.Unpack(info):
            assert info.domain == "claviger.io", info
            return info.reason
    return None


def pages(call, method, request, field):
    """All of a list, page by page."""
    while True:
        page = call(method, request)
        yield from getattr(page, field)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
