"""Where rides are served: areas with names, each with a radius of matching of its own if it has one."""
