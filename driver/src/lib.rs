//! The device core: queues, waiting, readiness and counters, the same for TUN and TAP.
