"""Who is on the LAN: addresses, servers, routers, and whom each speaks to. Pure."""
