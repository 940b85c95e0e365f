"""What the peer needs of aiortc's own words: a configuration, and how much has come over its transports."""

from __future__ import annotations

from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnection

from .ice import Ice, NoWay, choose, is_turn

RELAY_HINT = "Whoever runs the server finds what to check in docs/turn.md."


def no_way(ice: Ice, why: str) -> NoWay:
    """Return the error that says so."""
    if ice.relay_only:
        return NoWay(f"The TURN server gave no relay: {why or 'none is set'}.", hint=RELAY_HINT)
    return NoWay("The server has no free UDP port for pictures.", hint="Try again in a minute.")


def configuration(ice: Ice) -> RTCConfiguration:
    """Return aiortc's words for `ice`; aiortc asks the first STUN and the first TURN server."""
    asked, _ = choose([one.url for one in ice.servers])
    servers = [
        RTCIceServer(one.url, one.username, one.credential) if is_turn(one.url) else RTCIceServer(one.url)
        for one in ice.servers
        if one.url in asked
    ]
    policy = RTCIceTransportPolicy.RELAY if ice.relay_only else RTCIceTransportPolicy.ALL
    return RTCConfiguration(iceServers=servers, iceTransportPolicy=policy)


def packets_in(pc: RTCPeerConnection) -> int:
    """Count what came over all transports of a connection: pictures, sound, reports, messages."""
    transports = {one.receiver.transport for one in pc.getTransceivers()}
    if pc.sctp is not None:
        transports.add(pc.sctp.transport)
    return sum(int(figures.packetsReceived) for one in transports for figures in one._get_stats().values())
