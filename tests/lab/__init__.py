"""A laboratory of network namespaces: an internet, homes behind NAT routers, and the three programs in them."""
