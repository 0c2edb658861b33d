"""EventStoreDB and KurrentDB through esdbclient, whose installed version is 1.1.7 or later of 1.x.

Reads, catch-up subscriptions and the management of groups are calls of esdbclient; appends and the members of groups use the stubs and
the connection that it brings (`client`), because its own calls for these cost a round trip or a thread's wake-up for each record.

Use `store.EsdbStore`; this module imports nothing, so that a URL can be read (`address`) where esdbclient is not installed.
"""
