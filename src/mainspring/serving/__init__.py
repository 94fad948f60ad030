"""The gateway: the data plane. It answers predictions and follows desired state, and imports nothing that trains.

A request travels down this list, and its answer comes back up:

    server         uvicorn: sockets, signals, graceful stop
    edge           request id, key, limits, access log, metrics; every failure becomes a reply here
    predict, oip, invocations     the three ways to ask for predictions; `pages` are the readable rest (FastAPI)
    engine         small work at once, large work in a bounded pool under the time limit
    slots          which version is live; a request leases it, so that a swap waits for it
    loading        one version in memory, proven with its golden examples

Beside the requests, `reconciler` makes the slots what `.mainspring/desired.json` says. `gateway` puts it all together.
"""
