"""redis-py against a running server: transactions, watched updates, commands of several keys, blocking lists.

    python3 -m venv venv && venv/bin/pip install redis==7.1.0
    venv/bin/python tests/clients/redis_py.py PORT

It empties the server. The exit code is 0 if everything holds.
"""

import sys
import threading

import redis


def transactions(client):
    with client.pipeline(transaction=True) as pipe:
        pipe.set("a", 1).incr("b").get("a").mget("a", "b", "nosuch")
        assert pipe.execute() == [True, 1, b"1", [b"1", b"1", None]]
    client.set("text", "x")
    with client.pipeline() as pipe:
        pipe.set("a", 2).incr("text").set("b", 2)
        result = pipe.execute(raise_on_error=False)
        assert result[0] is True and isinstance(result[1], redis.ResponseError) and result[2] is True
    with client.pipeline() as pipe:
        pipe.watch("a")
        client.set("a", 3)
        pipe.multi()
        pipe.set("b", 9)
        try:
            pipe.execute()
            raise AssertionError("a watched key was changed")
        except redis.WatchError:
            pass
    assert client.get("b") == b"2"


def watched_updates(client):
    """Eight threads count with read, modify, write: no count is lost."""
    client.set("count", 0)

    def count():
        for _ in range(50):
            def body(pipe):
                value = int(pipe.get("count"))
                pipe.multi()
                pipe.set("count", value + 1)
                pipe.incr("total")
            client.transaction(body, "count")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.mget("count", "total") == [b"400", b"400"]


def several_keys(client):
    keys = [f"many:{n}" for n in range(100)]
    assert client.mset({key: key for key in keys})
    assert client.mget(keys) == [key.encode() for key in keys]
    assert client.exists(*keys, "nosuch") == 100
    assert client.msetnx({"many:0": 1, "other": 1}) is False
    assert client.rename("many:0", "elsewhere")
    assert client.delete(*keys) == 99


def blocking(client):
    assert client.blpop(["q", "r"], timeout=0.05) is None
    got = []
    waiting = threading.Thread(target=lambda: got.append(client.blpop(["q", "r", "s"], timeout=30)))
    waiting.start()
    while client.info("clients")["blocked_clients"] != 1:
        pass
    client.rpush("s", "element")
    waiting.join()
    assert [list(pair) for pair in got] == [[b"s", b"element"]]
    assert client.exists("s") == 0


def main():
    for protocol in (2, 3):
        client = redis.Redis(port=int(sys.argv[1]), protocol=protocol)
        for test in (transactions, watched_updates, several_keys, blocking):
            client.flushall()
            test(client)
            print(f"RESP{protocol} {test.__name__}")


if __name__ == "__main__":
    main()
