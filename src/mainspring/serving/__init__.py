"""The gateway: the data plane. It answers predictions and follows desired state, and imports nothing that trains.

A request travels down this list, and its answer comes back up:

    server         uvicorn: sockets, signals, graceful stop
    edge           request id, key, limits, access log, metrics; every failure becomes a reply here
    predict, oip, invocations     the three ways to ask for predictions; `feedback` takes true labels; `pages` are the
                   readable rest (FastAPI)
    answering      what the three share: lease, predict, write into the prediction log, ask the shadow
    prompting      `predict` of a prompt program, whose `programs` ask language models in other slots
    engine         small work at once, large work in a bounded pool under the time limit
    slots          which versions are live, and which answers; a request leases it, so that a swap waits for it
    loading        one version in memory, proven with its golden examples

Beside the requests, `reconciler` makes the slots what `.mainspring/desired.json` says, and `prediction_log` writes what
was asked and answered. `gateway` puts it all together.
"""
