"""Relays chosen values to ThingSpeak without losing or doubling a row.

What a row goes through, and where to look::

    messages -> bridge     the core: what becomes a row, a text or a command
                rows       values of one interval, counters from totals, the clock that is not set
                mapping    which value of which message goes where; limits of a licence
                paths      how a path walks into a payload
             -> outbox     rows on the disk, each in one state
             -> uploader    when to send, what an answer means, the year's quota
                thinning   a long backlog made short
             -> sink       what a cloud must offer: thingspeak, influx
                clouds     which there are, from the settings
                web        one call, bounded in size and time
    TalkBack -> talkback   commands from the cloud, back to the core
"""
