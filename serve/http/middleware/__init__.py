"""What every request passes before its route: who asks, whether there is room, and whether the server is ending."""
