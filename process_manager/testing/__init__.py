"""The test kit for processes, apps and stores.

scenario          given, when, then: a definition without runtime and store
crash_points      every crash, redelivery and swap of an app's run
invariants        what must hold for the stream of any instance
store_contract    the tests that a store adapter has to pass
proxy             a TCP proxy that cuts and stalls connections
"""
