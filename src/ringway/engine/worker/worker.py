"""The worker as Python sees it: open everything, run the loop until the next reload, close."""

import mmap as mapping
import os

import cython
from cython import NULL, address, cast, sizeof
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.stdlib import calloc, free
from cython.cimports.libc.string import memcpy, memset
from cython.cimports.ringway.engine.base import *
from cython.cimports.ringway.engine.connection import *
from cython.cimports.ringway.engine.exchange import *
from cython.cimports.ringway.engine.kernel import *
from cython.cimports.ringway.engine.native.linux import ENOMEM
from cython.cimports.ringway.engine.native.openssl import TLS1_2_VERSION, TLS1_3_VERSION
from cython.cimports.ringway.engine.plan import *
from cython.cimports.ringway.engine.tls import *
from cython.cimports.ringway.engine.worker.loop import *

from ringway.engine.base import counters as counters_module
from ringway.engine.tls.tls_context import last_error

NO_MEMORY = "not enough memory for [limits]"


def set_handlers(w):
    w.handlers.received[KIND_CLIENT] = client_received
    w.handlers.received[KIND_UPSTREAM] = upstream_received
    w.handlers.sent[KIND_CLIENT] = client_sent
    w.handlers.sent[KIND_UPSTREAM] = upstream_sent
    w.handlers.late[KIND_CLIENT] = client_late
    w.handlers.late[KIND_UPSTREAM] = upstream_late
    w.handlers.gone[KIND_CLIENT] = client_gone
    w.handlers.gone[KIND_UPSTREAM] = upstream_gone
    w.handlers.request = request_arrived
    w.handlers.client_received = client_event_received
    w.handlers.client_sent = client_event_sent
    w.handlers.client_late = client_event_late
    w.handlers.client_gone = exchange_gone
    w.handlers.upstream_ready = proxy_ready
    w.handlers.upstream_failed = proxy_failed
    w.handlers.upstream_received = proxy_upstream_received
    w.handlers.upstream_sent = proxy_upstream_sent
    w.handlers.upstream_late = proxy_upstream_late
    w.handlers.upstream_gone = proxy_upstream_gone
    w.handlers.file_ready = serve_ready
    w.handlers.place = share_place
    w.handlers.take_stock = shares_count
    w.handlers.mux_begin = mux_begin
    w.handlers.mux_received = mux_received
    w.handlers.mux_sent = mux_sent
    w.handlers.mux_late = mux_late
    w.handlers.mux_gone = mux_gone
    w.handlers.mux_drain = mux_drain
    w.handlers.lane_late = mux_lane_late
    w.handlers.take_exchange = exchange_take
    w.handlers.lane_request = request_on_lane


def tables_open(w):
    need: Places = places_of(w.snapshot)
    # A slot is cleared up to the first member that need not be.
    x: cython.pointer(Exchange) = cast(cython.pointer(Exchange), w.scratch)
    f: cython.pointer(File) = cast(cython.pointer(File), w.scratch)
    x_cleared: uint64_t = cast(cython.p_char, address(x.up_chunks)) - cast(cython.p_char, x)
    m: cython.pointer(Mux) = cast(cython.pointer(Mux), w.scratch)
    m_cleared: uint64_t = cast(cython.p_char, address(m.decoder)) - cast(cython.p_char, m)
    f_cleared: uint64_t = cast(cython.p_char, address(f.how)) - cast(cython.p_char, f)
    clock_update(address(w.clock))
    wheel_open(address(w.wheel), w.clock.now_ms)
    set_handlers(w)
    if (
        files_grow(w, w.snapshot.limits.open_files) < 0
        or buffers_open(
            address(w.buffers),
            w.counters,
            w.snapshot.limits.buffer_bytes,
            w.snapshot.limits.body_buffer_bytes,
        )
        < 0
        or slots_open(address(w.clients), sizeof(Client), sizeof(Client), need.clients, CLIENTS_MOST) < 0
        or slots_open(address(w.upstreams), sizeof(Upstream), sizeof(Upstream), need.upstreams, UPSTREAMS_MOST) < 0
        or slots_open(address(w.exchanges), sizeof(Exchange), x_cleared, need.exchanges, EXCHANGES_MOST) < 0
        or slots_open(address(w.muxes), sizeof(Mux), m_cleared, need.clients, CLIENTS_MOST) < 0
        or slots_open(address(w.files), sizeof(File), f_cleared, need.files, FILES_MOST) < 0
    ):
        return False
    w.buffers.view_given = view_given
    return True


def driver_open(w, uring):
    if not uring:
        return epoll_open(address(w.driver), address(w.buffers), w.counters, file_operations(w))
    return uring_open(address(w.driver), address(w.buffers), w.counters)


def places_of(s):
    need: Places
    each: uint64_t = s.limits.upstream_connections + s.limits.upstream_idle
    need.clients = s.limits.client_connections + PLACES_MOST
    need.upstreams = cast(uint32_t, min(each * max(s.upstream_count, UPSTREAMS_LEAST), cast(uint64_t, UPSTREAMS_MOST)))
    # An exchange that ends while a file read is in flight keeps its slot until the read completes. A client with HTTP/2
    # can have many exchanges; when all places are in use, it has to wait.
    need.exchanges = cast(uint32_t, min(need.clients * 2 + s.limits.requests, cast(uint64_t, EXCHANGES_MOST)))
    # Stale files that are still being sent come on top of those that are kept.
    need.files = s.limits.open_files + need.clients
    return need


def file_operations(w):
    # Each file, each exchange that reads a body and each connection that is refused at once has at most one operation
    # in flight.
    return cast(uint64_t, w.files.capacity) + w.exchanges.capacity + w.upstreams.capacity


def worker_resize(w, s):
    need: Places = places_of(s)
    changed: cython.int
    if (
        slots_grow(address(w.clients), need.clients) < 0
        or slots_grow(address(w.upstreams), need.upstreams) < 0
        or slots_grow(address(w.exchanges), need.exchanges) < 0
        or slots_grow(address(w.muxes), need.clients) < 0
        or slots_grow(address(w.files), need.files) < 0
        or files_grow(w, s.limits.open_files) < 0
        or w.driver.grow(address(w.driver), file_operations(w)) < 0
    ):
        return -ENOMEM
    changed = buffers_resize(address(w.buffers), s.limits.buffer_bytes, s.limits.body_buffer_bytes)
    if changed > 0:
        w.driver.call_back(address(w.driver))
    return min(changed, 0)


def replace_rules(w, r):
    old: cython.pointer(Rules) = w.rules
    w.rules = r
    w.snapshot = r.snapshot
    if old == NULL:
        return
    old.references += 1  # until their idle files and connections are released
    files_forget(w)
    upstream_drain(w)
    rules_release(w, old)


def worker_close(w):
    i: uint32_t
    if w.driver.state != NULL:
        files_close(w)
        w.driver.shut(address(w.driver))
    rules_close(w.rules)
    slots_close(address(w.clients))
    slots_close(address(w.upstreams))
    slots_close(address(w.exchanges))
    slots_close(address(w.muxes))
    slots_close(address(w.files))
    buffers_close(address(w.buffers))
    free(w.file_table)


# ------------------------------------------------------------------------------------------------- from Python


def run(brief: dict, say, next_brief) -> dict:
    """Run a worker until it is drained or stopped; docs/architecture.md describes `brief`.

    Calls `say("ready", found)` once, just before the loop starts. If io_uring cannot be set up, calls
    `say("no_driver", {"error": number})` and raises RuntimeError. When the supervisor has new rules, gets them from
    `next_brief()` and reports the result: `say("renewed", {"number": ..., "error": sentence or ""})`. After an error
    the worker keeps the old rules. Returns {"gauges": {...}, "open": [...]} at the end: all zero and empty if nothing
    is open. Raises RuntimeError with a sentence if the worker cannot start or continue.
    """
    w: cython.pointer(Worker) = cast(cython.pointer(Worker), calloc(1, sizeof(Worker)))
    if w == NULL:
        raise MemoryError
    kept = []  # mapped memory that the engine uses
    places = {}  # name of a listener -> its place in `listeners`
    rules = brief["rules"]
    try:
        prepare(w, brief, kept, places, say)
        descriptors = len(os.listdir("/proc/self/fd"))
        share_descriptors(w, descriptors)
        descriptors -= owned(w)
        start(w)
        say("ready", features_of(w))
        result: cython.int
        while True:
            with cython.nogil:
                result = worker_loop(w)
            if result < 0:
                raise RuntimeError(f"the I/O driver failed: {os.strerror(-result)}")
            if not w.renewing:
                return finish(w, kept, descriptors)
            w.renewing = False
            brief = next_brief()
            if brief is not None:
                error = adjust(w, brief, places) if brief["rules"] == rules else renew(w, brief, places)
                rules = rules if error else brief["rules"]
                say("renewed", {"number": brief["number"], "error": error})
            w.driver.receive_plain(address(w.driver), w.control, address(w.control_byte), 1, tag_of(OP_CONTROL, 0, 0))
    finally:
        worker_close(w)
        free(w)


@cython.cfunc
def prepare(w: cython.pointer(Worker), brief: dict, kept: list, places: dict, say):
    i: cython.int
    w.counters = cast(cython.pointer(Counters), address_of(share(brief["counters"], kept, writable=True)))
    w.records = cast(cython.pointer(RecordRing), address_of(share(brief["records"], kept, writable=True)))
    w.salt = int.from_bytes(os.urandom(4), "little")
    w.control = brief["control"]
    for i in range(LISTENERS_MAX):
        w.listeners[i].fd = -1
    w.rules = open_rules(w, brief)
    w.snapshot = w.rules.snapshot
    if not tables_open(w):
        raise RuntimeError(NO_MEMORY)
    result: cython.int = driver_open(w, brief["driver"] == "io_uring")
    if result < 0:
        if brief["driver"] == "io_uring":
            say("no_driver", {"error": -result})
        why = f"{brief['driver']} cannot be set up: {os.strerror(-result)}"
        if result == -ENOMEM and brief["driver"] == "io_uring":
            # The supervisor's trial succeeded because no worker ran at that time.
            why += "; all workers share the user's limit of locked memory: raise it (LimitMEMLOCK=, ulimit -l), use "
            why += 'fewer workers, or set io_driver = "epoll"'
        raise RuntimeError(why)
    fill_rules(w, w.rules, brief)
    free_places(w, brief["listeners"], places)
    take_listeners(w, brief["listeners"], places)


@cython.cfunc
def open_rules(w: cython.pointer(Worker), brief: dict) -> cython.pointer(Rules):
    """Open the part of the rules that needs no driver. From here on the rules own the descriptors of folders."""
    i: cython.int
    r: cython.pointer(Rules) = rules_open(brief["snapshot"], brief["addresses"])
    os.close(brief["snapshot"])
    os.close(brief["addresses"])
    if r == NULL or r.snapshot.folder_count != len(brief["folders"]):
        rules_close(r)
        for descriptor in [*brief["folders"], brief.get("certificates"), brief["peers"]]:
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        raise RuntimeError("not enough memory, or another version of Ringway wrote the snapshot")
    for i in range(len(brief["folders"])):
        r.folders[i].fd = max(brief["folders"][i], -1)
        r.folders[i].error = max(-brief["folders"][i], 0)
    return r


@cython.cfunc
def fill_rules(w: cython.pointer(Worker), r: cython.pointer(Rules), brief: dict):
    if brief.get("tls"):
        open_tls(w, r, brief["tls"], brief["certificates"])
    elif any(entry["tls"] for entry in brief["listeners"]):
        raise RuntimeError("a TLS listener has no certificate")
    open_peers(w, r, brief["peers"])


@cython.cfunc
def renew(w: cython.pointer(Worker), brief: dict, places: dict) -> str:
    """Take new rules and listeners. If anything fails, take none of them and return a sentence."""
    r: cython.pointer(Rules) = NULL
    try:
        r = open_rules(w, brief)
        free_places(w, brief["listeners"], places)
        fill_rules(w, r, brief)
        if worker_resize(w, r.snapshot) < 0:
            raise RuntimeError(NO_MEMORY)
    except (RuntimeError, OSError, MemoryError) as error:
        rules_close(r)
        for entry in brief["listeners"]:
            if entry["fd"] is not None:
                os.close(entry["fd"])
        return str(error) or "out of memory"
    replace_rules(w, r)
    take_listeners(w, brief["listeners"], places)
    start_accepting(w)
    return ""


@cython.cfunc
def adjust(w: cython.pointer(Worker), brief: dict, places: dict) -> str:
    """The rules are the same: take what is new beside them, and let everything else be. A sentence if that fails."""
    i: cython.int
    r: cython.pointer(Rules) = w.rules
    os.close(brief["snapshot"])
    os.close(brief["addresses"])
    for i in range(len(brief["folders"])):
        if folder_take(w, address(r.folders[i]), brief["folders"][i]):
            files_forget_folder(w, i)
    error = ""
    if brief.get("certificates") is not None and is_other(r.certificates, brief["certificates"]):
        r.certificates_seen = 0
        if take_certificates(w, r) < 0:
            error = f"the certificate or its key cannot be used: {last_error()}"
    if brief["peers"] is not None and is_other(r.peers, brief["peers"]):
        r.peers_seen = 0
        if take_peers(w, r) != 0:
            error = f"TLS to an upstream cannot be set up: {last_error()}"
    try:
        free_places(w, brief["listeners"], places)
    except RuntimeError as problem:
        for entry in brief["listeners"]:
            if entry["fd"] is not None:
                os.close(entry["fd"])
        return str(problem)
    take_listeners(w, brief["listeners"], places)
    start_accepting(w)
    return error


@cython.cfunc
def is_other(held: cython.int, found: cython.int) -> bool:
    """Another memory takes the place of what is held, under its number."""
    other = os.fstat(held).st_ino != os.fstat(found).st_ino
    if other:
        os.dup2(found, held, inheritable=False)
    os.close(found)
    return other


@cython.cfunc
def free_places(w: cython.pointer(Worker), wanted: list, places: dict):
    """Raise RuntimeError if there are not enough free places for the new listeners."""
    i: cython.int
    free_count = sum(1 for i in range(LISTENERS_MAX) if w.listeners[i].fd < 0 and w.listeners[i].clients == 0)
    if sum(entry["name"] not in places for entry in wanted) > free_count:
        raise RuntimeError(f"a worker cannot have more than {LISTENERS_MAX} listening sockets")


@cython.cfunc
def take_listeners(w: cython.pointer(Worker), wanted: list, places: dict):
    """Keep the listeners whose names are known, add the new ones, remove those that are no longer wanted."""
    i: cython.int
    names = {entry["name"] for entry in wanted}
    for name in [name for name in places if name not in names]:
        listener_remove(w, places.pop(name))
    for entry in wanted:
        if entry["name"] not in places:
            i = 0
            while w.listeners[i].fd >= 0 or w.listeners[i].accepting or w.listeners[i].clients:
                i += 1
            memset(address(w.listeners[i]), 0, sizeof(Listener))
            w.listeners[i].fd = entry["fd"]
            w.listener_count = max(w.listener_count, cast(uint32_t, i + 1))
            places[entry["name"]] = i
        elif entry["fd"] is not None:
            os.close(entry["fd"])
        i = places[entry["name"]]
        w.listeners[i].tls = entry["tls"]
        w.listeners[i].https_port = entry["https"]
        w.listeners[i].proxied = entry["proxied"]
        w.listeners[i].h2c = entry["h2c"]


@cython.cfunc
def owned(w: cython.pointer(Worker)) -> int:
    """Count the descriptors that listeners and rules own."""
    i: cython.int
    count = sum(1 for i in range(w.listener_count) if w.listeners[i].fd >= 0)
    count += sum(1 for i in range(w.snapshot.folder_count) if w.rules.folders[i].fd >= 0)
    return count + (w.rules.certificates >= 0) + (w.rules.peers >= 0)


@cython.cfunc
def open_peers(w: cython.pointer(Worker), r: cython.pointer(Rules), peers):
    """Open a context for each upstream with TLS."""
    i: cython.int
    if peers is not None:
        r.peers = peers
        i = take_peers(w, r)
        if i != 0:
            which = cast(cython.pointer(UpstreamEntry), upstream_at(r.snapshot, max(i, 1) - 1))
            name = text_at(r.snapshot, which.name)[: which.name.length].decode()
            raise RuntimeError(f"TLS to the upstream {name} cannot be set up: {last_error()}")
    for i in range(r.snapshot.upstream_count):
        if (r.origins[i].tls == NULL) == (upstream_at(r.snapshot, i).tls != 0):
            raise RuntimeError("the brief and the snapshot disagree about TLS to an upstream")


@cython.cfunc
def open_tls(w: cython.pointer(Worker), r: cython.pointer(Rules), brief: dict, certificates: int):
    ktls: KtlsPolicy = ktls_policy(brief["ktls"])
    policy: TlsPolicy
    memset(address(policy), 0, sizeof(TlsPolicy))
    policy.min_version = TLS1_3_VERSION if brief["min_version"] == "1.3" else TLS1_2_VERSION
    policy.http2 = brief["http2"]
    copy_text(policy.ciphers, brief["ciphers"])
    copy_text(policy.suites, brief["suites"])
    copy_text(policy.groups, brief["groups"])
    r.certificates = certificates
    r.tls = tls_server_open(address(policy), address(ktls), r.snapshot, address(w.buffers))
    if r.tls == NULL:
        raise MemoryError
    if take_certificates(w, r) < 0:
        raise RuntimeError(f"the certificate or its key cannot be used: {last_error()}")


@cython.cfunc
def copy_text(out: cython.p_char, text: str):
    data: bytes = text.encode()
    if len(data) >= CIPHERS_BYTES_MAX:
        raise RuntimeError(f"a list of ciphers must be shorter than {CIPHERS_BYTES_MAX} bytes")
    memcpy(out, cast(cython.p_char, data), len(data) + 1)


@cython.cfunc
def ktls_policy(brief) -> KtlsPolicy:
    ktls: KtlsPolicy
    memset(address(ktls), 0, sizeof(KtlsPolicy))
    if brief is None:
        return ktls
    direction: cython.int
    version: cython.int
    for direction in range(2):
        for version in range(2):
            ktls.usable[direction][version] = brief["usable"][direction][version]
            ktls.enabled = ktls.enabled or ktls.usable[direction][version] != 0
    ktls.receive = brief["receive"]
    ktls.rekeys = brief["rekeys"]
    ktls.required = brief["required"]
    ktls.after_bytes = brief["after"]
    return ktls


@cython.cfunc
def share_descriptors(w: cython.pointer(Worker), open_now: int):
    """If the process may open few descriptors, reserve some of them for files and upstreams.

    Without them no request could be served. Accepting leaves a quarter free. At most an eighth is for files that are
    kept open.
    """
    import resource

    room = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - open_now, 4)
    few = room < FEW_DESCRIPTORS
    w.descriptors_most = room - room // 4 if few else 0
    w.files_most = max(room // 8, 1) if few else 1 << 30
    w.driver.single_accepts = few


@cython.cfunc
def start(w: cython.pointer(Worker)):
    start_accepting(w)
    w.driver.receive_plain(address(w.driver), w.control, address(w.control_byte), 1, tag_of(OP_CONTROL, 0, 0))


@cython.cfunc
def start_accepting(w: cython.pointer(Worker)):
    i: cython.int
    for i in range(w.listener_count):
        if w.listeners[i].fd >= 0 and not w.listeners[i].accepting and not w.listeners[i].removed:
            listener_accept(w, i)


@cython.cfunc
def finish(w: cython.pointer(Worker), kept: list, descriptors: int) -> dict:
    i: cython.int
    files_close(w)
    for i in range(w.listener_count):
        listener_close(w, i)
    # Submit the last closes. After that only the receive on the control socket may be in flight.
    w.driver.wait(address(w.driver), 0)
    c: Completion
    while w.driver.next(address(w.driver), address(c)):
        dispatch(w, address(c))
    numbers = counters_module.read(kept[0])
    gauges = {name: numbers[name] for name in counters_module.GAUGES}
    gauges["operations"] = max(0, gauges["operations"] - 1)
    gauges["descriptors"] = len(os.listdir("/proc/self/fd")) - owned(w) - descriptors
    return {"gauges": gauges, "open": describe_open(w)}


@cython.cfunc
def describe_open(w: cython.pointer(Worker)) -> list:
    """Describe what is still open: something that leaked, or that did not end in time."""
    found = []
    i: uint32_t
    c: cython.pointer(Client)
    u: cython.pointer(Upstream)
    for i in range(w.clients.made):
        c = cast(cython.pointer(Client), slot_at(address(w.clients), i))
        if c.stream.slot.used:
            text = f"client {i} {cast(bytes, CLIENT_STATE_NAMES[c.stream.state]).decode()}, {c.stream.operations} lent"
            if c.exchange != NULL:
                text += f", exchange {cast(bytes, EXCHANGE_STATE_NAMES[c.exchange.state]).decode()}"
            found.append(text)
    for i in range(w.upstreams.made):
        u = cast(cython.pointer(Upstream), slot_at(address(w.upstreams), i))
        if u.stream.slot.used:
            name = cast(bytes, UPSTREAM_STATE_NAMES[u.stream.state]).decode()
            found.append(f"upstream {i} {name}, {u.stream.operations} lent")
    return found[:50]


def share(descriptor: int, kept: list, writable: bool):
    """Map shared memory; `kept` keeps it mapped."""
    size = os.fstat(descriptor).st_size
    access = mapping.ACCESS_WRITE if writable else mapping.ACCESS_READ
    block = mapping.mmap(descriptor, size, access=access)
    kept.append(block)
    return block


@cython.cfunc
def address_of(block) -> cython.p_void:
    view: cython.const_uchar[::1] = memoryview(block).cast("B")
    return cast(cython.p_void, address(view[0]))


@cython.cfunc
def features_of(w: cython.pointer(Worker)) -> dict:
    return {
        "driver": cast(bytes, w.driver.name).decode(),
        "features": cast(bytes, w.driver.features).decode().split(", "),
    }
