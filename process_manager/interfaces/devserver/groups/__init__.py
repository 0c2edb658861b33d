"""Persistent subscriptions: groups of consumers over a stream or $all.

`engine` and `strategies` are pure: what is delivered to whom, when it comes again, what is parked, what the checkpoint is.
`manager` runs the engines of all groups in one thread, `running` ties one to the log and the writer, `stored` keeps what
outlives a restart.
"""
