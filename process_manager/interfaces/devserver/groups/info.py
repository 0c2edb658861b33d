"""What a group says about itself."""

from esdbclient.protos.Grpc import persistent_pb2

from process_manager.interfaces.devserver.groups.running import Member, Running

Info = persistent_pb2.SubscriptionInfo


def info_of(running: Running) -> Info:
    """Settings, counts and consumers; rates are not measured."""
    key, settings, engine = running.key, running.definition.settings, running.engine
    return Info(
        event_source=key.stream,
        group_name=key.group,
        status="Behind" if running.source.more else "Live",
        connections=[_connection(member) for member in running.members],
        total_items=engine.delivered,
        last_checkpointed_event_position="" if engine.checkpoint is None else key.text(engine.checkpoint),
        last_known_event_position="" if engine.last_known is None else key.text(engine.last_known),
        resolve_link_tos=settings.resolve_links,
        start_from=running.definition.start_text,
        message_timeout_milliseconds=round(settings.message_timeout * 1000),
        extra_statistics=settings.extra_statistics,
        max_retry_count=settings.max_retry_count,
        live_buffer_size=settings.live_buffer_size,
        buffer_size=settings.history_buffer_size,
        read_batch_size=settings.read_batch_size,
        check_point_after_milliseconds=round(settings.checkpoint_after * 1000),
        min_check_point_count=settings.min_checkpoint_count,
        max_check_point_count=settings.max_checkpoint_count,
        read_buffer_count=engine.waiting,
        retry_buffer_count=engine.redeliveries,
        total_in_flight_messages=engine.in_flight,
        outstanding_messages_count=engine.in_flight,
        named_consumer_strategy=settings.strategy,
        max_subscriber_count=settings.max_subscriber_count,
        parked_message_count=running.parked,
    )


def _connection(member: Member) -> Info.ConnectionInfo:
    consumer = member.consumer
    connection = Info.ConnectionInfo(
        total_items=consumer.delivered,
        available_slots=consumer.capacity - len(consumer.in_flight),
        in_flight_messages=len(consumer.in_flight),
        connection_name=consumer.name,
    )
    setattr(connection, "from", consumer.peer)  # a word of Python's
    return connection
